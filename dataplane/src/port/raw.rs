//! EAL's own device arguments, as they are: a PCI address or `net_…`.

use super::Backend;
use super::eth::EthSpec;
use super::spec::Kind;

pub(super) const BACKEND: Backend = Backend {
    name: "devargs",
    syntax: "0000:8a:00.0[,KEY=VALUE…] or net_DRIVER…[,KEY=VALUE…]",
    help: "any DPDK device: a NIC by its PCI address, or a virtual device in EAL's own notation",
    parse,
};

/// Whether the text is in EAL's notation.
pub(super) fn is_one(text: &str) -> bool {
    let name = text.split(',').next().unwrap_or_default();
    name.starts_with("net_") || is_pci(name)
}

fn parse(text: &str) -> Result<Kind, String> {
    let name = text.split(',').next().unwrap_or_default();
    if !is_one(text) {
        return Err("neither a PCI address nor a net_… device".into());
    }
    if name.len() > 63 {
        return Err(format!("the device's name has {} octets, at most 63 are allowed", name.len()));
    }
    let checksum = is_pci(name);
    Ok(Kind::Eth(EthSpec { driver: "", arguments: text.to_owned(), checksum, ..EthSpec::default() }))
}

/// `domain:bus:device.function`, the domain optional.
fn is_pci(name: &str) -> bool {
    let hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    let Some((head, function)) = name.rsplit_once('.') else { return false };
    let parts: Vec<&str> = head.split(':').collect();
    let address = match parts.as_slice() {
        [domain, bus, device] => hex(domain, 4) && hex(bus, 2) && hex(device, 2),
        [bus, device] => hex(bus, 2) && hex(device, 2),
        _ => false,
    };
    address && matches!(function, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7")
}
