//! Which rows are in which step.

use collimate_data::{BatchConfig, EpochOrder, PackConfig};

use crate::config::{Arrangement, TrainConfig};
use crate::error::Result;

/// Which rows are in which step: a pure function of the settings, the lengths and the step, so that a run
/// which goes on needs to know nothing but its step.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// The rows of each item: one, or those that are packed together.
    items: Vec<Vec<usize>>,
    /// Tokens of each item.
    lengths: Vec<usize>,
    batch_size: usize,
    accumulation: usize,
    arrangement: Arrangement,
    seed: u64,
    /// The batches of the epoch that was asked for last.
    epoch: Option<(u64, Vec<Vec<usize>>)>,
}

/// The rows of one batch: for each of its sequences the rows that are packed into it.
pub(crate) type Sequences = Vec<Vec<usize>>;

impl Order {
    /// # Errors
    ///
    /// A row is longer than a packed sequence.
    pub(crate) fn new(config: &TrainConfig, lengths: &[usize]) -> Result<Self> {
        let items: Vec<Vec<usize>> = match config.pack {
            None => (0..lengths.len()).map(|row| vec![row]).collect(),
            Some(tokens) => {
                PackConfig::default().with_max_length(tokens).check()?.plan(lengths)?.sequences
            }
        };
        let length = |rows: &Vec<usize>| rows.iter().filter_map(|row| lengths.get(*row)).sum();
        Ok(Self {
            lengths: items.iter().map(length).collect(),
            items,
            batch_size: config.batch_size,
            accumulation: config.accumulation,
            arrangement: config.arrangement,
            seed: config.seed,
            epoch: None,
        })
    }

    /// Steps of an epoch; the last one may have fewer batches, and the last batch fewer rows.
    pub(crate) fn steps_per_epoch(&self) -> u64 {
        let batches = self.items.len().div_ceil(self.batch_size);
        batches.div_ceil(self.accumulation).max(1) as u64
    }

    /// Steps of a run, as transformers counts them.
    pub(crate) fn steps(&self, config: &TrainConfig) -> u64 {
        let by_epochs = (config.epochs * self.steps_per_epoch() as f64).ceil() as u64;
        config.max_steps.unwrap_or(by_epochs.max(1))
    }

    /// The epochs that are over after some steps.
    pub(crate) fn epochs_after(&self, steps: u64) -> f64 {
        steps as f64 / self.steps_per_epoch() as f64
    }

    /// Whether an epoch ends with a step, counted from 0.
    pub(crate) fn ends_epoch(&self, step: u64) -> bool {
        (step + 1).is_multiple_of(self.steps_per_epoch())
    }

    /// The batches of a step, counted from 0.
    pub(crate) fn batches(&mut self, step: u64) -> Result<Vec<Sequences>> {
        let epoch = step / self.steps_per_epoch();
        if self.epoch.as_ref().is_none_or(|(known, _)| *known != epoch) {
            self.epoch = Some((epoch, self.arranged(epoch)?));
        }
        let (_, batches) = self.epoch.as_ref().map_or((0, [].as_slice()), |(n, b)| (*n, b));
        let first = (step % self.steps_per_epoch()) as usize * self.accumulation;
        let of_step = batches.iter().skip(first).take(self.accumulation);
        let rows = |batch: &Vec<usize>| -> Sequences {
            batch.iter().filter_map(|item| self.items.get(*item).cloned()).collect()
        };
        Ok(of_step.map(rows).collect())
    }

    /// The batches of an epoch.
    fn arranged(&self, epoch: u64) -> Result<Vec<Vec<usize>>> {
        // The streams of random numbers are counted with 32 bits; no run has more epochs.
        let epoch = u32::try_from(epoch).unwrap_or(u32::MAX);
        let count = self.items.len();
        let order = match self.arrangement {
            Arrangement::Sequential => EpochOrder::sequential(count),
            Arrangement::Shuffled => EpochOrder::new(count, self.seed, epoch),
            Arrangement::ByLength(window) => {
                let config = BatchConfig::default().with_rows(self.batch_size);
                let planner = config.with_window(window).with_seed(self.seed).check()?;
                return Ok(planner.plan(&self.lengths, epoch)?.batches);
            }
        };
        Ok(order.as_slice().chunks(self.batch_size).map(<[usize]>::to_vec).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(config: &TrainConfig, lengths: &[usize]) -> Order {
        Order::new(config, lengths).unwrap()
    }

    fn config() -> TrainConfig {
        TrainConfig::default().with_batch_size(2).with_accumulation(3)
    }

    #[test]
    fn every_epoch_sees_every_row_once_whatever_the_arrangement() {
        let lengths: Vec<usize> = (0..23).map(|row| 3 + row * 7 % 11).collect();
        let arrangements =
            [Arrangement::Sequential, Arrangement::Shuffled, Arrangement::ByLength(8)];
        let mut configs: Vec<_> =
            arrangements.map(|arrangement| config().with_arrangement(arrangement)).into();
        configs.push(config().with_pack(20));
        for config in configs {
            let mut order = order(&config, &lengths);
            let steps = order.steps_per_epoch();
            let mut epoch = |epoch: u64| -> Vec<usize> {
                let steps = (epoch * steps..(epoch + 1) * steps)
                    .flat_map(|step| order.batches(step).unwrap());
                steps.flatten().flatten().collect()
            };
            let (first, second) = (epoch(0), epoch(1));
            assert_eq!(first == second, config.arrangement == Arrangement::Sequential);
            for mut rows in [first, second] {
                rows.sort_unstable();
                assert_eq!(rows, (0..23).collect::<Vec<_>>(), "{:?}", config.arrangement);
            }
        }
    }

    #[test]
    fn a_step_is_what_it_is_whether_or_not_others_came_before() {
        let lengths = [5; 17];
        let mut whole = order(&config(), &lengths);
        let all: Vec<_> = (0..12).map(|step| whole.batches(step).unwrap()).collect();
        for step in [7, 2, 11, 0] {
            let alone = order(&config(), &lengths).batches(step).unwrap();
            assert_eq!(alone, all[step as usize]);
        }
    }

    #[test]
    fn steps_are_counted_as_in_transformers() {
        let order = order(&config(), &[5; 17]);
        // 9 batches, 3 to a step.
        assert_eq!(order.steps_per_epoch(), 3);
        assert_eq!(order.steps(&config().with_epochs(2.5)), 8);
        assert_eq!(order.steps(&config().with_epochs(2.5).with_max_steps(100)), 100);
        assert_eq!([0, 1, 2, 3].map(|step| order.ends_epoch(step)), [false, false, true, false]);
    }

    #[test]
    fn a_row_that_is_longer_than_a_sequence_is_an_error() {
        assert!(Order::new(&config().with_pack(4), &[3, 5]).is_err());
    }
}
