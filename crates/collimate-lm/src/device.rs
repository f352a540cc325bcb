//! Devices and number types by name.

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
use burn::tensor::DeviceKind;
#[cfg(any(feature = "cuda", feature = "wgpu", feature = "vulkan", feature = "metal"))]
use burn::tensor::DeviceType;
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
    /// This machine doesn't have the device.
    #[error("this machine has no device '{text}'; it has {}", list(found))]
    Absent {
        /// The text.
        text: String,
        /// The devices that this machine has, of those that this program was built with.
        found: Vec<String>,
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
/// fastest. The machine is asked whether it has the device, which is opened with its first tensor.
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
/// [`DeviceError::Unknown`], [`DeviceError::Number`], [`DeviceError::NotBuilt`] for a device whose
/// feature is off, [`DeviceError::Absent`] for one that this machine doesn't have.
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
    let number = match number {
        None => None,
        Some(_) if name == "cpu" => return Err(refuse("the processor has no number")),
        // Signs, which Rust's own parser takes, are refused.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let number: u16 = digits.parse().map_err(|_| refuse(NUMBER))?;
            Some(number.into())
        }
        Some(_) => return Err(refuse(NUMBER)),
    };
    open(number).ok_or_else(|| DeviceError::Absent { text: text.to_owned(), found: found() })
}

/// The names of the devices that this program was built with, by the features of this crate.
#[must_use]
pub fn devices() -> Vec<&'static str> {
    let built = BACKENDS.iter().filter(|backend| backend.open.is_some());
    built.map(|backend| backend.name).collect()
}

/// A type of weights by its name: `f32`, `bf16` or `f16`.
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
    /// None if the feature is off; gives none if this machine doesn't have the device.
    open: Option<fn(Option<usize>) -> Option<Device>>,
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

/// The constructor of graphics cards that are reached in some way, if the feature is on.
macro_rules! cards {
    ($feature:literal, $open:path, $kind:ident) => {
        built!($feature, |number| {
            let found = Device::enumerate(DeviceType::$kind);
            let device = $open(number.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu));
            let here = if number.is_none() { !found.is_empty() } else { found.contains(&device) };
            here.then_some(device)
        })
    };
}

const BACKENDS: [Backend; 5] = [
    Backend {
        name: "cpu",
        feature: "flex",
        open: built!("flex", |number| number.is_none().then(Device::flex)),
    },
    Backend {
        name: "cuda",
        feature: "cuda",
        open: built!("cuda", |number| {
            let device = Device::cuda(number.unwrap_or(0));
            Device::enumerate(DeviceType::Cuda).contains(&device).then_some(device)
        }),
    },
    Backend { name: "wgpu", feature: "wgpu", open: cards!("wgpu", Device::wgpu, Wgpu) },
    Backend { name: "vulkan", feature: "vulkan", open: cards!("vulkan", Device::vulkan, Vulkan) },
    Backend { name: "metal", feature: "metal", open: cards!("metal", Device::metal, Metal) },
];

/// The names of the devices that this machine has.
fn found() -> Vec<String> {
    let mut names = Vec::new();
    for Backend { name, open, .. } in BACKENDS {
        let here = |number| open.is_some_and(|open| open(number).is_some());
        if here(None) {
            names.push(name.to_owned());
        }
        let numbers = (0..).take_while(|&number| here(Some(number)));
        names.extend(numbers.map(|number| format!("{name}:{number}")));
    }
    names
}

fn list(names: &[impl AsRef<str>]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
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

    #[cfg(any(feature = "cuda", feature = "wgpu", feature = "vulkan", feature = "metal"))]
    #[test]
    fn a_device_that_is_not_here_is_refused_with_those_that_are() {
        for name in devices().into_iter().filter(|&name| name != "cpu") {
            let error = parse_device(&format!("{name}:65535")).unwrap_err();
            let DeviceError::Absent { found, .. } = &error else { panic!("{error}") };
            assert_eq!(found.contains(&"cpu".to_owned()), cfg!(feature = "flex"));
            assert!(found.iter().all(|text| parse_device(text).is_ok()), "{error}");
        }
    }

    #[test]
    fn types_have_the_names_that_they_have_in_safetensors() {
        assert_eq!(parse_dtype("f32"), Ok(DType::F32));
        assert_eq!(parse_dtype("bf16"), Ok(DType::BF16));
        assert_eq!(parse_dtype("f16"), Ok(DType::F16));
        assert_eq!(parse_dtype("f64"), Err(DeviceError::Dtype { text: "f64".to_owned() }));
    }
}
