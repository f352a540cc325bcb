//! Parallel work whose results are joined in a fixed order.

use rayon::prelude::*;

/// Results that may wait to be joined, for each thread.
const TASKS_PER_THREAD: usize = 16;

/// Works on `tasks` in parallel and joins the results one by one in the order of the tasks, so
/// that sums don't depend on the number of threads. At most a bounded number of results wait at
/// a time; each thread reuses the scratch memory that `scratch` makes.
pub(crate) fn in_order<T: Copy + Send + Sync, B, P: Send>(
    tasks: impl IntoIterator<Item = T>,
    scratch: impl Fn() -> B + Sync + Send,
    work: impl Fn(&mut B, T) -> P + Sync + Send,
    mut join: impl FnMut(T, P),
) {
    let size = TASKS_PER_THREAD * rayon::current_num_threads().max(1);
    let mut tasks = tasks.into_iter();
    loop {
        let group: Vec<T> = tasks.by_ref().take(size).collect();
        if group.is_empty() {
            return;
        }
        let results: Vec<P> =
            group.par_iter().map_init(&scratch, |scratch, &task| work(scratch, task)).collect();
        for (task, result) in group.into_iter().zip(results) {
            join(task, result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_joined_in_the_order_of_the_tasks() {
        let mut seen = Vec::new();
        in_order(
            0..1000_usize,
            || (),
            |(), task| task * task,
            |task, square| seen.push((task, square)),
        );
        assert_eq!(seen, (0..1000).map(|i| (i, i * i)).collect::<Vec<_>>());
    }
}
