//! Devices and number types by name.

use burn::tensor::{DType, Device};
use thiserror::Error;

/// What is wrong with the name of a device or of a type.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum DeviceError {
    /// No device has this name.
    #[error(
        "'{text}' names no device; this program was built with {}, and could be with the features {}",
        list(built),
        list(features)
    )]
    Unknown {
        /// The text.
        text: String,
        /// The devices that this program was built with.
        built: Vec<&'static str>,
        /// The features of this crate that bring a device.
        features: Vec<&'static str>,
    },
    /// The device needs a feature that is off.
    #[error(
        "device '{text}' needs the feature '{feature}'; this program was built with {}",
        list(built)
    )]
    NotBuilt {
        /// The text.
        text: String,
        /// The feature of this crate to turn on.
        feature: &'static str,
        /// The devices that this program was built with.
        built: Vec<&'static str>,
    },
    /// What follows the colon is not the number of a device.
    #[error("device '{text}': {expected}")]
    Number {
        /// The text.
        text: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// No type has this name.
    #[error("'{text}' names no type of weights; known are f32, bf16 and f16")]
    Dtype {
        /// The text.
        text: String,
    },
}

/// A device by its name: `cpu`, `cuda`, `wgpu`, `vulkan` or `metal`.
///
/// A number may follow, except after `cpu`: `cuda:1` is the second CUDA device, `vulkan:0` the first
/// discrete graphics card that Vulkan sees. Without one `cuda` is the first, the others choose the
/// fastest. Nothing is opened before the first tensor is made.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// assert!(collimate_lm::parse_device("cpu").is_ok());
/// # }
/// let error = collimate_lm::parse_device("tpu").unwrap_err();
/// assert!(error.to_string().starts_with("'tpu' names no device; this program was built with"));
/// ```
///
/// # Errors
/// [`DeviceError::Unknown`], [`DeviceError::Number`], or [`DeviceError::NotBuilt`] for a device whose
/// feature is off.
pub fn parse_device(text: &str) -> Result<Device, DeviceError> {
    let (name, number) = match text.split_once(':') {
        Some((name, number)) => (name, Some(number)),
        None => (text, None),
    };
    let Some(backend) = BACKENDS.iter().find(|backend| backend.name == name) else {
        let features = BACKENDS.iter().map(|backend| backend.feature).collect();
        return Err(DeviceError::Unknown { text: text.to_owned(), built: devices(), features });
    };
    let Some(open) = backend.open else {
        let feature = backend.feature;
        return Err(DeviceError::NotBuilt { text: text.to_owned(), feature, built: devices() });
    };
    let refuse = |expected| DeviceError::Number { text: text.to_owned(), expected };
    match number {
        None => Ok(open(None)),
        Some(_) if name == "cpu" => Err(refuse("the processor has no number")),
        // Signs, which Rust's own parser takes, are refused.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let number: u16 = digits.parse().map_err(|_| refuse(NUMBER))?;
            Ok(open(Some(number.into())))
        }
        Some(_) => Err(refuse(NUMBER)),
    }
}

/// The names of the devices that this program was built with, by the features of this crate.
#[must_use]
pub fn devices() -> Vec<&'static str> {
    let built = BACKENDS.iter().filter(|backend| backend.open.is_some());
    built.map(|backend| backend.name).collect()
}

/// A type of weights and activations by its name: `f32`, `bf16` or `f16`.
///
/// # Errors
/// [`DeviceError::Dtype`] for any other.
pub fn parse_dtype(text: &str) -> Result<DType, DeviceError> {
    match text {
        "f32" => Ok(DType::F32),
        "bf16" => Ok(DType::BF16),
        "f16" => Ok(DType::F16),
        _ => Err(DeviceError::Dtype { text: text.to_owned() }),
    }
}

const NUMBER: &str = "a number from 0 is expected after the colon";

/// A kind of device.
struct Backend {
    name: &'static str,
    /// What brings it.
    feature: &'static str,
    /// None if the feature is off.
    open: Option<fn(Option<usize>) -> Device>,
}

/// The constructor, if the feature is on.
macro_rules! built {
    ($feature:literal, $open:expr) => {{
        #[cfg(feature = $feature)]
        {
            Some($open)
        }
        #[cfg(not(feature = $feature))]
        {
            None
        }
    }};
}

const BACKENDS: [Backend; 5] = [
    Backend { name: "cpu", feature: "flex", open: built!("flex", |_| Device::flex()) },
    Backend {
        name: "cuda",
        feature: "cuda",
        open: built!("cuda", |number| Device::cuda(number.unwrap_or(0))),
    },
    Backend {
        name: "wgpu",
        feature: "wgpu",
        open: built!("wgpu", |number| Device::wgpu(graphics_card(number))),
    },
    Backend {
        name: "vulkan",
        feature: "vulkan",
        open: built!("vulkan", |number| Device::vulkan(graphics_card(number))),
    },
    Backend {
        name: "metal",
        feature: "metal",
        open: built!("metal", |number| Device::metal(graphics_card(number))),
    },
];

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
fn graphics_card(number: Option<usize>) -> burn::tensor::DeviceKind {
    use burn::tensor::DeviceKind;
    number.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu)
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_device_is_refused_with_what_there_is() {
        for text in ["", "tpu", "CPU", "cuda0", " cpu", ":0"] {
            let error = parse_device(text).unwrap_err();
            assert!(matches!(error, DeviceError::Unknown { .. }), "{text}: {error}");
        }
        let message = parse_device("tpu").unwrap_err().to_string();
        assert!(
            message.ends_with("with the features flex, cuda, wgpu, vulkan, metal"),
            "{message}"
        );
        for name in devices() {
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn a_device_that_was_not_built_in_names_its_feature() {
        for backend in BACKENDS.iter().filter(|backend| backend.open.is_none()) {
            let error = parse_device(&format!("{}:0", backend.name)).unwrap_err();
            assert!(
                matches!(error, DeviceError::NotBuilt { feature, .. } if feature == backend.feature)
            );
            assert!(!devices().contains(&backend.name));
        }
    }

    #[test]
    fn numbers_are_digits() {
        for name in devices() {
            for number in ["", "-1", "+1", "x", "0x1", "99999999999", "1:2"] {
                let error = parse_device(&format!("{name}:{number}")).unwrap_err();
                assert!(matches!(error, DeviceError::Number { .. }), "{name}:{number}: {error}");
            }
        }
    }

    #[cfg(feature = "flex")]
    #[test]
    fn the_processor_is_a_device_without_a_number() {
        assert_eq!(parse_device("cpu").unwrap(), Device::flex());
        assert!(parse_device("cpu:0").is_err());
        assert_eq!(devices()[0], "cpu");
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn a_cuda_device_has_its_number() {
        assert_eq!(parse_device("cuda").unwrap(), Device::cuda(0));
        assert_eq!(parse_device("cuda:3").unwrap(), Device::cuda(3));
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn a_number_chooses_among_the_discrete_cards() {
        use burn::tensor::DeviceKind;
        assert_eq!(parse_device("wgpu").unwrap(), Device::wgpu(DeviceKind::DefaultDevice));
        assert_eq!(parse_device("wgpu:1").unwrap(), Device::wgpu(DeviceKind::DiscreteGpu(1)));
    }

    #[test]
    fn types_have_the_names_that_they_have_in_safetensors() {
        assert_eq!(parse_dtype("f32"), Ok(DType::F32));
        assert_eq!(parse_dtype("bf16"), Ok(DType::BF16));
        assert_eq!(parse_dtype("f16"), Ok(DType::F16));
        assert_eq!(parse_dtype("f64"), Err(DeviceError::Dtype { text: "f64".to_owned() }));
    }
}
