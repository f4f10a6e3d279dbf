//! Which name was meant: the number of slips between two words.

/// Insertions, deletions, changes and swaps of neighbours that make `b` of `a`.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    // Three rows are enough: a swap looks two back.
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// Whether so few slips make it likely that `name` was meant to be the other.
pub(crate) fn is_close(name: &str, distance: usize) -> bool {
    match name.chars().count() {
        0..4 => false,
        4..8 => distance <= 1,
        _ => distance <= 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        assert_eq!(distance("workers", "workers"), 0);
        assert_eq!(distance("wokers", "workers"), 1);
        assert_eq!(distance("owrkers", "workers"), 1);
        assert_eq!(distance("", "bind"), 4);
        assert_eq!(distance("time_out", "timeout"), 1);
    }
}
