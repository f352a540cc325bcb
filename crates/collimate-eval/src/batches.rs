/// Rows that are run together: those of about the same length, the longest first, each batch with at
/// most so many tokens, padding included, or a single row.
///
/// ```
/// assert_eq!(collimate_eval::rows_together(&[2, 9, 3], 8), [vec![1], vec![2, 0]]);
/// ```
pub fn rows_together(lengths: &[usize], most_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<(usize, usize)> = lengths.iter().copied().enumerate().collect();
    order.sort_by_key(|&(row, length)| (std::cmp::Reverse(length), row));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut longest = 0;
    for (row, length) in order {
        match batches.last_mut() {
            Some(batch) if longest * (batch.len() + 1) <= most_tokens => batch.push(row),
            _ => {
                longest = length;
                batches.push(vec![row]);
            }
        }
    }
    batches
}
