//! The demo for people: at most 100 columns, every figure with its unit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Findings;
use super::captures::WEB_VLAN;
use super::measure::{HalfLoad, Measured, Price};
use super::replay::{OUTER_OCTETS, Replayed, Way};
use super::rig::{Settings, VNI, VTEP};
use super::tally::Tally;
use crate::control::{Report, picture};

/// Share of stolen cycles from which figures suffer.
const NOISY: f64 = 0.02;
/// What is not known.
const UNKNOWN: &str = "unknown";

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| UNKNOWN.into(), |value| format!("{value:.digits$}"))
}

fn percent(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| UNKNOWN.into(), |value| format!("{:.digits$} %", value * 100.0))
}

fn mpps(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.into(), |value| format!("{:.2} Mpps", value / 1e6))
}

/// Digits in groups of three.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The head.
pub(super) fn begin(settings: &Settings) -> String {
    let debug = if settings.build == "debug" { "\nDEBUG BUILD: the figures of part 2 mean nothing." } else { "" };
    format!(
        "weir demo: real frames through a network and a tunnel, then where every CPU cycle goes\n\n\
         {}; {} CPUs, one worker on CPU {}\n\
         time stamp counter (TSC) {:.1} MHz; {} MiB of {}; no root, no NIC, no hugepages{debug}\n\n\
         PART 1: is every packet where it belongs?",
        settings.cpu_model,
        settings.cpus,
        settings.worker_cpu,
        settings.tsc_hz.unwrap_or_default() as f64 / 1e6,
        settings.memory_mib,
        settings.memory,
    )
}

/// Part 1.
pub(super) fn correctness(found: &Replayed) -> String {
    let mut text = String::new();
    _ = writeln!(
        text,
        "\n1. Containers -> tunnel. Two containers send captured frames: one HTTP with VLAN tag {WEB_VLAN}, the other\n   \
         DNS and ICMPv6 without a tag. Their destinations are unknown here, so the bridge floods: a copy\n   \
         to the other container, one in VXLAN (VNI {VNI}, {OUTER_OCTETS} octets more) to the remote VTEP {VTEP}."
    );
    way(&mut text, &found.encap, "left in VXLAN, octet for octet as they were sent (the tag stays here)");
    _ = writeln!(
        text,
        "   {}: open it in Wireshark (udp.port == 4789)\n\n\
         2. Tunnel -> containers. The same frames come back from the VTEP; both containers get each of them,\n   \
         the first one with its tag.",
        found.file
    );
    way(&mut text, &found.decap, "arrived octet for octet as they should");
    _ = writeln!(
        text,
        "\n3. Somebody else's VXLAN. A capture of ping and ARP between two other VTEPs; weir takes the place of\n   \
         one, so the frames towards the other are not for it and must be dropped."
    );
    way(&mut text, &found.foreign, "arrived octet for octet as they were inside");
    text
}

fn way(text: &mut String, way: &Way, what: &str) {
    balance(text, &way.packets);
    _ = writeln!(text, "   {} of {} frames {what}", way.exact, way.expected);
}

/// Packets in, out and dropped; drops by name.
fn balance(text: &mut String, packets: &Tally) {
    let mut line = format!("   in {}", grouped(packets.packets_in));
    let more = |line: &mut String, value: u64, sign: &str, what: &str| {
        if value != 0 {
            _ = write!(line, " {sign} {what} {}", grouped(value));
        }
    };
    more(&mut line, packets.created, "+", "copied");
    _ = write!(line, " = out {}", grouped(packets.packets_out));
    more(&mut line, packets.punted, "+", "to the host");
    more(&mut line, packets.consumed, "+", "consumed");
    match packets.held {
        0 => {}
        held => _ = write!(line, " + held {held}"),
    }
    _ = write!(line, " + dropped {}", grouped(packets.dropped));
    let _ = writeln!(line, "{}", if packets.imbalance == 0 { " packets" } else { " packets: NOT BALANCED" });
    text.push_str(&line);
    for drop in &packets.drops {
        _ = writeln!(text, "   dropped {} {}:\n      {}", grouped(drop.packets), drop.reason, drop.meaning);
    }
}

/// Before part 2.
pub(super) fn measuring(seconds: f64) -> String {
    format!("\nPART 2: what does a packet cost? (measuring, {seconds} s at saturation and some more)")
}

/// Part 2.
pub(super) fn measurement(found: &Measured) -> String {
    let mut text = String::new();
    let report = &found.ledger;
    _ = writeln!(
        text,
        "\n4. Saturation. A container sends frames of {} octets in {} flows without end, all into VXLAN, and\n   \
         the uplink swallows them: {:.2} s, {} in bursts of {} ({} configured).",
        found.frame_octets,
        found.flows,
        report.elapsed_seconds,
        mpps(report.lambda_pps),
        number(report.mean_rx_burst, 1),
        report.burst,
    );
    balance(&mut text, &found.packets);
    ledger(&mut text, report);
    views(&mut text, report);
    books(&mut text, found);
    price(&mut text, &found.price, report);
    capacity(&mut text, found);
    half_load(&mut text, &found.half_load);
    text
}

fn ledger(text: &mut String, report: &Report) {
    _ = writeln!(
        text,
        "\n5. The ledger: the cycles of the worker by stage, in TSC cycles per packet (cyc/pkt).\n   \
         Stages of kind io move packets, those of kind task do something to them.\n\n   \
         {:<17} {:<5} {:>9} {:>8}   what it does",
        "stage", "kind", "cyc/pkt", "share"
    );
    let all = report.total_cycles_per_packet;
    let share = |part: Option<f64>| percent(part.zip(all).map(|(part, all)| part / all), 1);
    let picture = picture::picture();
    let mut help: BTreeMap<&str, &str> = picture.stages.iter().map(|stage| (stage.name, stage.help)).collect();
    help.insert("rx", "takes bursts from the port, copies frames here");
    help.insert("loop", "from stage to stage, from burst to burst");
    for stage in report.stages.iter().filter(|stage| stage.cycles.is_some_and(|all| all > 0)) {
        let what = help.get(stage.name.as_str()).copied().unwrap_or_default();
        let cost = stage.cycles_per_packet;
        _ = writeln!(
            text,
            "   {:<17} {:<5} {:>9} {:>8}   {what}",
            stage.name,
            format!("{:?}", stage.kind).to_lowercase(),
            number(cost, 2),
            share(cost)
        );
    }
    for line in report.accounts.iter().filter(|line| line.cycles > 0 && line.account.name() != "busy") {
        let what = match line.account.name() {
            "empty" => "polls that found no packet",
            "housekeeping" => "timers, and news for the control thread",
            "reconfiguration" => "taking over changes",
            "stolen" => "the kernel or a hypervisor ran something else",
            "instrument" => "reading the clock for this table",
            "source" => "making the packets of a source port",
            _ => "",
        };
        let name = format!("({})", line.account.name());
        _ = writeln!(
            text,
            "   {name:<17} {:<5} {:>9} {:>8}   {what}",
            "",
            number(line.cycles_per_packet, 2),
            share(line.cycles_per_packet)
        );
    }
    _ = writeln!(text, "   {:<17} {:<5} {:>9} {:>8}   every cycle", "sum", "", number(all, 2), share(all));
    let stolen = stolen_share(report);
    if stolen > NOISY {
        _ = writeln!(
            text,
            "   NOTE: others had {stolen:.0} % of this CPU, programs or a hypervisor; measure on a quiet machine.",
            stolen = stolen * 100.0
        );
    }
}

/// Part of the cycles that the kernel or a hypervisor took from the worker.
fn stolen_share(report: &Report) -> f64 {
    report.accounts.iter().find(|line| line.account.name() == "stolen").map_or(0.0, |line| line.share)
}

fn views(text: &mut String, report: &Report) {
    _ = writeln!(
        text,
        "\n6. The same cycles in the terms of f_CPU = n * (c_IO + c_task + c_busy), in cyc/pkt. It has no name\n   \
         for what is in brackets above, waiting apart: other.\n\n   \
         {:<54} {:>8} {:>8} {:>8} {:>8}",
        "view", "c_IO", "c_task", "c_busy", "other"
    );
    let rows = [
        ("framework: c_IO is rx, tx, buffers; c_task the rest", &report.framework),
        ("container: c_IO is all of weir; c_task the application", &report.container),
    ];
    for (name, view) in rows {
        let [io, task, busy, other] = [view.c_io, view.c_task, view.c_busy, view.c_other].map(|cost| number(cost, 2));
        _ = writeln!(text, "   {name:<54} {io:>8} {task:>8} {busy:>8} {other:>8}");
    }
    _ = writeln!(
        text,
        "   c_busy is time spent waiting for packets: counted {} cyc/pkt, as the equation's remainder {}",
        number(report.framework.c_busy, 2),
        number(report.framework.c_busy_remainder, 2)
    );
}

fn books(text: &mut String, found: &Measured) {
    let report = &found.ledger;
    let closure = |error: Option<i64>| error.map_or_else(|| UNKNOWN.into(), |error| error.to_string());
    _ = writeln!(
        text,
        "\n7. Can it be trusted?\n   \
         closure error        {} cycles: last - first stamp - sum of all accounts ({} cycles)\n   \
         wall clock           the same window by the kernel's clock differs by {}",
        closure(report.closure_error_cycles),
        grouped(report.elapsed_cycles),
        percent(report.wall_clock_error, 4),
    );
}

fn price(text: &mut String, price: &Price, report: &Report) {
    let paired = match price.paired {
        Some(paired) => format!(
            "{:.2} % [{:.2}, {:.2}]: ledger off against sampled, {} pairs of {:.0} ms",
            paired.median * 100.0,
            paired.low * 100.0,
            paired.high * 100.0,
            paired.pairs,
            price.window_seconds * 1e3
        ),
        None => price.unknown.clone().unwrap_or_else(|| UNKNOWN.into()),
    };
    _ = writeln!(
        text,
        "   price of the ledger  {paired}\n   {:20} (short; 95 % interval; by its own account {})",
        "",
        percent(report.instrument_overhead, 2)
    );
}

fn capacity(text: &mut String, found: &Measured) {
    let capacity = &found.capacity;
    let line = match (capacity.c_f, capacity.c_p) {
        (Some(c_f), Some(c_p)) => format!(
            "a burst of n packets costs {c_f:.0} + n * {c_p:.1} cycles (+- {} and {}; R2 {})",
            number(capacity.c_f_standard_error, 0),
            number(capacity.c_p_standard_error, 1),
            number(capacity.r_squared, 4)
        ),
        _ => "no cost line: too few bursts of different sizes; measure longer with --seconds".into(),
    };
    _ = writeln!(
        text,
        "\n8. How much fits on this core?\n   cost line            {line}\n   \
         lambda_max           {} at bursts of {}\n   \
         at saturation        {}: utilisation {}, headroom {}{}",
        mpps(capacity.lambda_max_pps),
        found.ledger.burst,
        mpps(found.ledger.lambda_pps),
        percent(capacity.utilisation, 1),
        percent(capacity.headroom, 1),
        if stolen_share(&found.ledger) > NOISY { " (the rest was stolen, see 5)" } else { "" },
    );
}

fn half_load(text: &mut String, half: &HalfLoad) {
    let report = &half.ledger;
    let view = &report.framework;
    let source = report.accounts.iter().find(|line| line.account.name() == "source");
    _ = writeln!(
        text,
        "   at half of that      {} asked, {} came: utilisation {}, headroom {}\n   \
         {:20} c_IO {} + c_task {} + c_busy {} (counted; remainder {}) cyc/pkt\n   \
         {:20} (from a paced source; making its packets is booked apart: {} cyc/pkt)",
        mpps(Some(half.asked_pps)),
        mpps(report.lambda_pps),
        percent(half.utilisation, 1),
        percent(half.headroom, 1),
        "",
        number(view.c_io, 1),
        number(view.c_task, 1),
        number(view.c_busy, 1),
        number(view.c_busy_remainder, 1),
        "",
        number(source.and_then(|line| line.cycles_per_packet), 1),
    );
}

/// The last lines.
pub(super) fn end(findings: &Findings) -> String {
    let verdict = if findings.wrong.is_empty() {
        "Every packet is accounted for, every packet buffer is back, every cycle is booked.".to_owned()
    } else {
        "NOT EVERYTHING IS AS IT SHOULD BE: see the error below.".to_owned()
    };
    format!(
        "\n{verdict} ({:.1} s)\nNext: wireshark {}; docs/ledger.md; weir run -c FILE with ports of your own",
        findings.seconds, findings.correctness.file
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!([0, 999, 1000, 12_345_678].map(grouped), ["0", "999", "1,000", "12,345,678"]);
    }
}
