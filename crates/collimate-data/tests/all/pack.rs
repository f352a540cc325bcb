//! Rows that share a sequence.

use collimate_data::{
    DataError, PackConfig, Packed, PackedBatch, Packer, Row, StatisticsBuilder, TooLong,
};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

fn packer(max_length: usize) -> Packer {
    PackConfig::default().with_max_length(max_length).check().expect("a valid length")
}

/// What a row is once it is packed: the first token carries no loss.
fn masked(row: &Row) -> Row {
    let mut row = row.clone();
    row.trained[0] = false;
    row
}

/// Log-normal lengths with a median of 180 and a 90th percentile of 800 tokens, up to 2048.
fn lengths(count: usize) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut uniform = || (rng.next_u64() >> 11) as f64 * f64::powi(2.0, -53);
    let mut normal = || {
        let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * uniform()).cos()
    };
    (0..count).map(|_| ((180.0_f64.ln() + 1.16 * normal()).exp() as usize).clamp(1, 2048)).collect()
}

#[test]
fn a_stream_packs_almost_as_well_and_loses_no_row() {
    let rows: Vec<Row> = lengths(5000)
        .into_iter()
        .zip(0..)
        .map(|(length, id)| Row::new(vec![id; length], vec![true; length]))
        .collect();
    let config = PackConfig::default().with_open_sequences(512).check().expect("valid settings");
    let mut packed = config.stream().pack(rows.iter().cloned().enumerate().map(Ok));
    let sequences: Vec<Packed> = packed.by_ref().map(|packed| packed.expect("fits")).collect();
    let report = packed.report();
    assert!(report.efficiency >= 0.98, "{report:?}");
    assert_eq!((report.rows, report.sequences), (5000, sequences.len() as u64));
    assert!(sequences.iter().all(|packed| packed.len() <= 2048));
    let mut found: Vec<(usize, Row)> = sequences.iter().flat_map(Packed::unpack).collect();
    found.sort_by_key(|(index, _)| *index);
    assert!(found.into_iter().eq(rows.iter().map(masked).enumerate()));
}

#[test]
fn a_stream_ends_with_its_first_error() {
    let rows = [Ok((0, Row::new(vec![1], vec![true]))), Err(DataError::Cancelled)];
    let rows = rows.into_iter().chain([Ok((1, Row::new(vec![2], vec![true])))]);
    let mut packed = packer(8).stream().pack(rows);
    assert!(matches!(packed.next(), Some(Err(DataError::Cancelled))));
    assert!(packed.next().is_none());
}

#[test]
fn realistic_lengths_are_packed_almost_without_padding() {
    let lengths = lengths(20_000);
    let mut statistics = StatisticsBuilder::default();
    for &length in &lengths {
        statistics.add_counts(length, 0, None);
    }
    let summary = statistics.finish().lengths;
    assert!((160..200).contains(&summary.p50) && (700..900).contains(&summary.p90), "{summary:?}");
    let plan = packer(2048).plan(&lengths).unwrap();
    assert!(plan.report.efficiency >= 0.98, "{:?}", plan.report);
    // No packing needs fewer sequences than the tokens fill.
    let tokens: usize = lengths.iter().sum();
    assert_eq!(plan.report.tokens, tokens as u64);
    assert!(plan.report.sequences <= (tokens.div_ceil(2048) + 1) as u64, "{:?}", plan.report);
    let mut stream = packer(2048).stream();
    let mut closed = 0;
    for (row, &length) in lengths.iter().enumerate() {
        let row_of = Row::new(vec![0; length], vec![true; length]);
        closed += u64::from(stream.push(row, &row_of).unwrap().is_some());
    }
    assert!(stream.report().efficiency >= 0.95, "{:?}", stream.report());
    let (rest, report) = stream.finish();
    assert!(rest.len() <= 64);
    assert_eq!(report.sequences, closed + rest.len() as u64);
}

#[test]
fn best_fit_decreasing_finds_a_perfect_packing() {
    let plan = packer(10).plan(&[5, 7, 5, 2, 4, 2, 5, 1, 6, 3]).unwrap();
    assert_eq!(plan.report.sequences, 4);
    assert_eq!(plan.report.efficiency, 1.0);
    assert!(packer(10).plan(&[]).unwrap().sequences.is_empty());
}

#[test]
fn the_first_token_of_a_segment_carries_no_loss() {
    let rows = [Row::new(vec![1, 2], vec![true; 2]), Row::new(vec![3, 4, 5], vec![true; 3])];
    let (packed, _) = packer(5).pack(&rows).unwrap();
    assert_eq!(packed[0].ids, [1, 2, 3, 4, 5]);
    assert_eq!(packed[0].trained, [false, true, false, true, true]);
    assert_eq!(packed[0].segment_ids, [1, 1, 2, 2, 2]);
    assert_eq!(packed[0].positions, [0, 1, 0, 1, 2]);
}

#[test]
fn a_row_that_fits_no_sequence_is_never_cut() {
    let rows = [Row::new(vec![1; 4], vec![true; 4]), Row::new(vec![2; 9], vec![true; 9])];
    let error = packer(8).pack(&rows).unwrap_err();
    assert!(matches!(error, DataError::Setting { setting: "max_length", .. }));
    assert!(error.to_string().contains("row 1 has 9 tokens"), "{error}");
    assert!(packer(8).stream().push(1, &rows[1]).is_err());
    let config = PackConfig::default().with_max_length(8).with_too_long(TooLong::Drop);
    let (packed, report) = config.check().unwrap().pack(&rows).unwrap();
    assert_eq!((packed.len(), report.rows, report.too_long, report.tokens), (1, 2, 1, 4));
    assert!(packer(8).pack(&[Row::default()]).is_err());
    assert!(PackConfig::default().with_max_length(0).check().is_err());
    assert!(PackConfig::default().with_open_sequences(0).check().is_err());
}

#[test]
fn a_batch_of_sequences_is_padded_by_position() {
    let rows = [Row::new(vec![9, 9, 9], vec![true; 3]), Row::new(vec![9, 2], vec![true; 2])];
    let packed: Vec<Packed> = rows.iter().enumerate().map(|row| Packed::from_rows([row])).collect();
    let batch = PackedBatch::new(&packed, 4, 9);
    assert_eq!((batch.batch, batch.sequence), (2, 4));
    assert_eq!(batch.ids, [9, 9, 9, 9, 9, 2, 9, 9]);
    assert_eq!(batch.trained, [false, true, true, false, false, true, false, false]);
    assert_eq!(batch.segment_ids, [1, 1, 1, 0, 1, 1, 0, 0]);
    assert_eq!(batch.positions, [0, 1, 2, 0, 0, 1, 0, 0]);
    assert_eq!(batch.lengths, [3, 2]);
    assert_eq!(PackedBatch::new(&packed, 0, 9).sequence, 3);
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = prop::collection::vec((0..50_u32, any::<bool>()), 1..40);
    let row = row.prop_map(|tokens| {
        let (ids, trained) = tokens.into_iter().unzip();
        Row::new(ids, trained)
    });
    prop::collection::vec(row, 0..60)
}

/// All rows exactly once, each with its ids, mask and positions, and no sequence too long.
fn check(rows: &[Row], packed: &[Packed], max_length: usize) -> Result<(), TestCaseError> {
    let mut seen = vec![0; rows.len()];
    for packed in packed {
        prop_assert!(packed.len() <= max_length);
        prop_assert_eq!(packed.len(), packed.positions.len());
        prop_assert_eq!(packed.len(), packed.segment_ids.len());
        prop_assert_eq!(packed.len(), packed.trained.len());
        let mut positions = Vec::new();
        for (index, row) in packed.unpack() {
            seen[index] += 1;
            positions.extend(0..row.len() as u32);
            prop_assert_eq!(row, masked(&rows[index]));
        }
        prop_assert_eq!(&packed.positions, &positions);
        let segments = packed.rows.iter().enumerate();
        let segments = segments.flat_map(|(at, &row)| vec![at as u32 + 1; rows[row].len()]);
        prop_assert_eq!(&packed.segment_ids, &segments.collect::<Vec<_>>());
    }
    prop_assert!(seen.iter().all(|times| *times == 1), "{:?}", seen);
    Ok(())
}

proptest! {
    #[test]
    fn unpacking_gives_exactly_the_rows(rows in rows(), max_length in 40_usize..100) {
        let (packed, report) = packer(max_length).pack(&rows)?;
        check(&rows, &packed, max_length)?;
        let tokens: usize = rows.iter().map(Row::len).sum();
        prop_assert_eq!(report.tokens, tokens as u64);
        prop_assert_eq!(report.sequences, packed.len() as u64);
    }

    #[test]
    fn a_stream_loses_nothing(rows in rows(), max_length in 40_usize..100, open in 1_usize..6) {
        let config = PackConfig::default().with_max_length(max_length).with_open_sequences(open);
        let mut stream = config.check()?.stream();
        let mut packed = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            packed.extend(stream.push(index, row)?);
        }
        let (rest, report) = stream.finish();
        prop_assert!(rest.len() <= open);
        packed.extend(rest);
        check(&rows, &packed, max_length)?;
        prop_assert_eq!(report.sequences, packed.len() as u64);
    }
}
