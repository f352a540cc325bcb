#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::config::QkvLayout;
use crate::ops::testing::{assert_alike, numbers, results, strided};

fn config(heads: usize, kv_heads: usize, head_dim: usize) -> AttentionConfig {
    AttentionConfig {
        num_attention_heads: heads,
        num_key_value_heads: kv_heads,
        head_dim,
        scale: 1.3 / (head_dim as f64).sqrt(),
        softcap: None,
        qk_norm: None,
        qkv_bias: false,
        output_bias: false,
        qkv: QkvLayout::Separate,
    }
}

fn inputs(config: &AttentionConfig, batch: usize, sequence: usize, keys: usize) -> [Tensor<3>; 3] {
    let (width, kv_width) = (
        config.num_attention_heads * config.head_dim,
        config.num_key_value_heads * config.head_dim,
    );
    [
        strided([batch, sequence, width], 1) * 3.0,
        strided([batch, keys, kv_width], 2) * 3.0,
        strided([batch, keys, kv_width], 3),
    ]
}

fn ours(x: &[Tensor<3>], visible: Visible<'_>, config: &AttentionConfig) -> Tensor<3> {
    forward::on_cpu([&x[0], &x[1], &x[2]], visible, config).unwrap()
}

fn check(
    config: &AttentionConfig,
    [batch, sequence, keys]: [usize; 3],
    visible: Visible<'_>,
    note: &str,
) {
    let note = format!("{note} {batch} {sequence} {keys} {config:?}");
    let other = |x: &[Tensor<3>]| {
        let [q, k, v] = [0, 1, 2].map(|at| x[at].clone());
        composed(q, k, v, visible, config)
    };
    assert_alike(
        &inputs(config, batch, sequence, keys),
        |x| ours(x, visible, config),
        other,
        &note,
    );
}

const CAUSAL: Visible<'static> = Visible { offset: 0, first: None, window: None };

#[test]
fn causal() {
    for (heads, kv_heads, head_dim) in [(1, 1, 8), (2, 2, 16), (6, 2, 48), (7, 1, 40)] {
        for [batch, sequence] in [[1, 1], [2, 5], [1, 31], [1, 33], [2, 70], [1, 200]] {
            let config = config(heads, kv_heads, head_dim);
            check(&config, [batch, sequence, sequence], CAUSAL, "causal");
        }
    }
}

#[test]
fn behind_other_keys() {
    for (heads, kv_heads) in [(2, 2), (6, 2), (9, 1)] {
        let config = config(heads, kv_heads, 24);
        for [sequence, offset] in [[1, 0], [1, 3], [1, 600], [2, 300], [5, 40], [40, 100]] {
            let visible = Visible { offset, ..CAUSAL };
            check(&config, [2, sequence, offset + sequence], visible, "offset");
        }
    }
}

#[test]
fn windows() {
    let config = config(4, 2, 16);
    for window in [1, 2, 7, 64, 99, 1000] {
        for [sequence, offset] in [[1, 300], [3, 20], [100, 0], [50, 50]] {
            let visible = Visible { offset, window: Some(window), ..CAUSAL };
            check(&config, [2, sequence, offset + sequence], visible, "window");
        }
    }
}

#[test]
fn packed_texts() {
    let config = config(4, 2, 16);
    // Where the texts of each row begin.
    let begins = [[0, 1, 40, 41, 90], [0, 30, 64, 65, 100]];
    let first: Vec<u32> = begins
        .iter()
        .flat_map(|begins| {
            let of = |at: u32| begins.iter().copied().rfind(|&begin| begin <= at).unwrap();
            (0..130).map(of)
        })
        .collect();
    for window in [None, Some(9)] {
        let visible = Visible { offset: 0, first: Some(&first), window };
        check(&config, [2, 130, 130], visible, "packed");
    }
}

#[test]
fn soft_caps() {
    for cap in [0.7, 50.0] {
        let config = AttentionConfig { softcap: Some(cap), ..config(4, 2, 16) };
        check(&config, [2, 50, 50], CAUSAL, "capped");
        check(&config, [1, 1, 301], Visible { offset: 300, ..CAUSAL }, "capped");
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let config = AttentionConfig { scale: 1e4, ..config(2, 1, 8) };
    for sequence in [1, 40] {
        let visible = Visible { offset: 300, ..CAUSAL };
        let x = inputs(&config, 1, sequence, 300 + sequence);
        for values in results(&x, |x| ours(x, visible, &config)) {
            assert!(values.iter().all(|value| value.is_finite()));
        }
    }
}

#[test]
fn who_sees_nothing_gets_nothing() {
    let config = config(4, 2, 16);
    for sequence in [1, 40] {
        // The first query begins behind itself.
        let first: Vec<u32> = (0..sequence).map(|at| if at == 0 { 1000 } else { 0 }).collect();
        let visible = Visible { offset: 0, first: Some(&first), window: None };
        let x = inputs(&config, 1, sequence as usize, sequence as usize);
        let found = results(&x, |x| ours(x, visible, &config));
        let expected = results(&x, |x| ours(x, CAUSAL, &config));
        assert!(found[0][..64].iter().all(|&y| y == 0.0));
        assert_eq!(found[0][64..], expected[0][64..]);
        if let Some(dq) = found.get(1) {
            assert!(dq[..64].iter().all(|&y| y == 0.0));
            assert_eq!(dq[64..], expected[1][64..]);
        }
        assert!(found.iter().flatten().all(|y| y.is_finite()));
    }
}

#[test]
fn other_widths_are_left_to_burn() {
    let config = config(2, 1, 6);
    let [q, k, v] = inputs(&config, 2, 9, 9);
    assert!(forward::on_cpu([&q, &k, &v], CAUSAL, &config).is_none());
    assert_eq!(attention(q, k, v, CAUSAL, &config).dims(), [2, 9, 12]);
}

#[test]
fn what_is_no_number_stays_so() {
    let config = config(2, 1, 8);
    for sequence in [1, 20] {
        let visible = Visible { offset: 300, ..CAUSAL };
        let [q, k, v] = inputs(&config, 1, sequence, 300 + sequence);
        let y = ours(&[q * f32::NAN, k, v], visible, &config);
        let y: Vec<f32> = y.into_data().try_to_vec().unwrap();
        assert!(y.iter().all(|y| y.is_nan()));
    }
}

#[test]
fn numbers_side_by_side_give_the_same() {
    let config = config(4, 2, 16);
    let views = inputs(&config, 2, 50, 50);
    let copies = views.clone().map(|view| Tensor::from_data(view.into_data(), &Device::flex()));
    let found = [&views, &copies].map(|x| results(x, |x| ours(x, CAUSAL, &config)));
    assert_eq!(found[0], found[1]);
    assert_ne!(numbers([1, 1, 4], 1).into_data(), numbers([1, 1, 4], 2).into_data());
}
