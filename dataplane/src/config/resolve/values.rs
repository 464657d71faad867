//! Single values: numbers in range, names, IP and MAC addresses.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use overlay::num::MacAddr;

use super::super::file::At;
use super::super::model::Name;
use super::Resolver;

impl Resolver<'_, '_> {
    /// The number where it is given and in range, else the default.
    pub(super) fn int<T: TryFrom<i64>>(
        &mut self,
        found: Option<&At<i64>>,
        key: &str,
        range: RangeInclusive<i64>,
        default: T,
    ) -> T {
        found.and_then(|at| self.checked(at, key, range)).unwrap_or(default)
    }

    /// The number where it is in range.
    pub(super) fn checked<T: TryFrom<i64>>(
        &mut self,
        at: &At<i64>,
        key: &str,
        range: RangeInclusive<i64>,
    ) -> Option<T> {
        let value = Some(at.value).filter(|v| range.contains(v)).and_then(|v| T::try_from(v).ok());
        if value.is_none() {
            let found = format!("`{key}` is {}, out of range", at.value);
            let help = format!("choose a number from {} to {}", range.start(), range.end());
            self.report.error("range", Some(at.span.clone()), &found, &help);
        }
        value
    }

    /// A probability.
    pub(super) fn probability(&mut self, found: Option<&At<f64>>, key: &str) -> f64 {
        let Some(at) = found else { return 0.0 };
        if (0.0..=1.0).contains(&at.value) {
            return at.value;
        }
        let message = format!("`{key}` is {}, not a probability", at.value);
        self.report.error(
            "range",
            Some(at.span.clone()),
            &message,
            "choose a number from 0.0 to 1.0 (0.01 is one percent)",
        );
        0.0
    }

    /// What must be there; reported at `place` where it is not (and was not reported as unreadable before).
    pub(super) fn required<'v, T>(
        &mut self,
        found: Option<&'v At<T>>,
        path: &str,
        key: &str,
        place: &At<()>,
    ) -> Option<&'v At<T>> {
        if found.is_none() && !self.broken.contains(&format!("{path}.{key}")) {
            let message = format!("`{key}` is missing");
            let help = format!("add `{key} = …`; docs/config.md says what it can be");
            self.report.error("missing", Some(place.span.clone()), &message, &help);
        }
        found
    }

    /// A new name.
    pub(super) fn name(&mut self, at: &At<String>) -> Option<Name> {
        let name = Name::new_checked(&at.value);
        if name.is_none() {
            let found = format!("\"{}\" is not a name", at.value);
            let help = "use 1 to 32 letters, digits, `.`, `_` and `-`, beginning with a letter or digit";
            self.report.error("name", Some(at.span.clone()), &found, help);
        }
        name
    }

    /// A unicast MAC address.
    pub(super) fn mac(&mut self, at: &At<String>, key: &str) -> Option<MacAddr> {
        let span = Some(at.span.clone());
        match MacAddr::from_str(&at.value) {
            Ok(mac) if mac.is_multicast() => {
                let found = format!("`{key}` is {mac}, a group address");
                self.report.error(
                    "mac",
                    span,
                    &found,
                    "use a unicast address: the first octet is even, such as 02:00:00:00:00:01",
                );
                None
            }
            Ok(MacAddr::ZERO) => {
                let found = format!("`{key}` is all zero");
                self.report.error("mac", span, &found, "use a unicast address, such as 02:00:00:00:00:01");
                None
            }
            Ok(mac) => Some(mac),
            Err(expected) => {
                let found = format!("`{key}` is \"{}\", not a MAC address", at.value);
                self.report.error("mac", span, &found, &expected.to_string());
                None
            }
        }
    }

    /// An IP address of either family that can belong to one host.
    pub(super) fn ip(&mut self, at: &At<String>, key: &str) -> Option<IpAddr> {
        let span = Some(at.span.clone());
        let Ok(address) = IpAddr::from_str(&at.value) else {
            let found = format!("`{key}` is \"{}\", not an IP address", at.value);
            self.report.error("ip", span, &found, "write it as 198.51.100.2 or 2001:db8::2, without prefix length");
            return None;
        };
        match not_a_host(address) {
            None => Some(address),
            Some(what) => {
                let found = format!("`{key}` is {address}, {what}");
                self.report.error("ip", span, &found, "use the address of one host");
                None
            }
        }
    }
}

/// Why `address` cannot be that of one host on a link.
pub(super) fn not_a_host(address: IpAddr) -> Option<&'static str> {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    match address {
        _ if address.is_unspecified() => Some("the unspecified address"),
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_multicast() => Some("a multicast address"),
        _ if broadcast => Some("the broadcast address"),
        _ if mapped => Some("an IPv4 address in IPv6 clothes: write the IPv4 address"),
        _ => None,
    }
}
