//! `[[network]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;

use overlay::num::{MacAddr, Vni};

use super::super::file::{At, Binding, Network as Typed};
use super::super::model::{Config, Network, NetworkSettings};
use super::Resolver;

impl Resolver<'_, '_> {
    /// All networks but for their static MACs, which name ports.
    pub(super) fn networks(&mut self, typed: &[At<Typed>], config: &mut Config) {
        let mut vnis: BTreeMap<Vni, (String, Range<usize>)> = BTreeMap::new();
        for (i, at) in typed.iter().enumerate() {
            let t = &at.value;
            let path = format!("network[{i}]");
            let place = At { value: (), span: at.span.clone() };
            let name = self.required(t.name.as_ref(), &path, "name", &place).and_then(|n| self.name(n));
            let vni = self.required(t.vni.as_ref(), &path, "vni", &place).cloned();
            let vni = vni.and_then(|v| {
                self.checked(&v, "vni", 0..=i64::from(Vni::MAX)).map(|n| (Vni::from_low_bits(n), v.span))
            });
            let settings = self.network_settings(t, vni.as_ref().map_or(Vni::from_low_bits(0), |(vni, _)| *vni));
            let vteps = self.vteps(&t.vteps);
            let bindings = self.bindings(&t.bindings, &path);
            let Some(name) = name else { continue };
            if let Some((vni, span)) = vni {
                if let Some((other, first)) = vnis.get(&vni) {
                    let found =
                        format!("VNI {vni} is already that of network \"{other}\" ({})", self.report.line(first));
                    self.report.error("vni-twice", Some(span), &found, "give each network a VNI of its own");
                } else {
                    vnis.insert(vni, (name.to_string(), span));
                }
            }
            if config.networks.contains_key(&name) {
                let span = t.name.as_ref().map(|n| n.span.clone());
                let found = format!("there is already a network \"{name}\"");
                self.report.error("name-twice", span, &found, "rename or remove one of the two");
                continue;
            }
            config.networks.insert(name.clone(), Network { vteps, bindings, ..Network::empty(name, settings) });
        }
    }

    fn network_settings(&mut self, t: &Typed, vni: Vni) -> NetworkSettings {
        let default = NetworkSettings::new(vni);
        NetworkSettings {
            vni,
            mtu: self.int(t.mtu.as_ref(), "mtu", 576..=9216, default.mtu),
            mac_ageing_s: self.int(t.mac_ageing_s.as_ref(), "mac_ageing_s", 0..=1_000_000, default.mac_ageing_s),
            mac_learning: t.mac_learning.unwrap_or(default.mac_learning),
            suppress_arp_nd: t.suppress_arp_nd.unwrap_or(default.suppress_arp_nd),
            storm_limit_pps: self.int(
                t.storm_limit_pps.as_ref(),
                "storm_limit_pps",
                0..=100_000_000,
                default.storm_limit_pps,
            ),
        }
    }

    fn vteps(&mut self, typed: &[At<String>]) -> BTreeSet<IpAddr> {
        let mut vteps = BTreeSet::new();
        for at in typed {
            let Some(vtep) = self.ip(at, "vteps") else { continue };
            if !vteps.insert(vtep) {
                let found = format!("VTEP {vtep} is in this list twice");
                self.report.error(
                    "vtep-twice",
                    Some(at.span.clone()),
                    &found,
                    "remove one: every flooded frame would go out twice",
                );
            }
        }
        vteps
    }

    fn bindings(&mut self, typed: &[At<Binding>], path: &str) -> BTreeMap<IpAddr, MacAddr> {
        let mut bindings = BTreeMap::new();
        for (i, at) in typed.iter().enumerate() {
            let b = &at.value;
            let path = format!("{path}.bindings[{i}]");
            let place = At { value: (), span: at.span.clone() };
            let address = self.required(b.address.as_ref(), &path, "address", &place);
            let mac = self.required(b.mac.as_ref(), &path, "mac", &place).and_then(|m| self.mac(m, "mac"));
            let Some((typed, ip)) = address.and_then(|a| self.ip(a, "address").map(|ip| (a, ip))) else { continue };
            let Some(mac) = mac else { continue };
            match bindings.insert(ip, mac) {
                Some(first) if first != mac => {
                    let found = format!("{ip} is bound to {mac} here and to {first} above");
                    self.report.error(
                        "binding-twice",
                        Some(typed.span.clone()),
                        &found,
                        "one address has one MAC: remove one",
                    );
                }
                Some(_) => {
                    let found = format!("{ip} is bound to {mac} twice");
                    self.report.warn("binding-twice", Some(typed.span.clone()), &found, "remove one");
                }
                None => {}
            }
        }
        bindings
    }
}
