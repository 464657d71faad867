//! The books at the end: what came in went somewhere.

use std::fmt::Write as _;

use overlay::reason::DropReason;

use super::Ended;
use crate::tables::Totals;

/// The conservation law with its figures, all workers together, and whether it holds and every packet buffer is back.
pub fn last_words(ended: &Ended) -> (String, bool) {
    let mut totals = Totals::default();
    let mut drops = [0; DropReason::COUNT];
    for report in &ended.reports {
        totals.add(&report.counters.totals);
        drops.iter_mut().zip(&report.counters.drops).for_each(|(sum, more)| *sum += more);
    }
    let dropped: u64 = drops.iter().sum();
    let imbalance = totals.imbalance(dropped);
    let mut text = format!(
        "packets: rx {} + created {} + taken over {} = tx {} + punted {} + consumed {} + handed over {} + held {} + dropped {dropped}",
        totals.rx,
        totals.created,
        totals.taken_over,
        totals.tx,
        totals.punted,
        totals.consumed,
        totals.handed_over,
        totals.held,
    );
    let named: Vec<String> = DropReason::ALL
        .iter()
        .zip(drops)
        .filter(|(_, packets)| *packets > 0)
        .map(|(reason, packets)| format!("{} {packets}", reason.name()))
        .collect();
    if !named.is_empty() {
        let _ = write!(text, " ({})", named.join(", "));
    }
    let between = totals.handed_over.abs_diff(totals.taken_over);
    let closed = imbalance == 0 && between == 0 && ended.missing_mbufs == 0 && ended.missing_reports == 0;
    if imbalance != 0 {
        let _ = write!(text, "; imbalance {imbalance}");
    }
    if between != 0 {
        let _ = write!(text, "; {between} packets were lost between workers");
    }
    if ended.missing_reports != 0 {
        let _ = write!(
            text,
            "; the last reports of {} workers are missing, and with them what they counted",
            ended.missing_reports
        );
    }
    match ended.missing_mbufs {
        0 => text.push_str("; all packet buffers are back"),
        missing => _ = write!(text, "; {missing} packet buffers are missing"),
    }
    (text, closed)
}
