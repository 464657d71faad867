//! A port as the packet path sees it.

use overlay::num::{MacAddr, NetworkId, PortId};

/// What a port is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// No port has this identifier.
    #[default]
    Vacant,
    /// Faces the underlay: carries tunnels.
    Uplink,
    /// Faces a container or VM: belongs to networks.
    Container,
    /// Faces the host's own stack.
    Host,
}

/// One port.
#[derive(Clone, Debug)]
pub struct PortEntry {
    /// What it is for.
    pub role: Role,
    /// Whether frames may go from it to another isolated port.
    pub isolated: bool,
    /// The network of untagged frames, or `NONE`.
    pub network: NetworkId,
    /// Largest frame it sends, in octets, Ethernet header included, VLAN tag and FCS excluded.
    pub max_frame_octets: u32,
    /// Networks by VLAN identifier (4,096 entries), when it carries tagged networks.
    pub vlans: Option<Box<[NetworkId]>>,
    /// Its MAC address.
    pub mac: MacAddr,
    /// For an uplink: the host port that takes what is for the host's own stack. For a host port: its uplink.
    pub peer: PortId,
}

impl Default for PortEntry {
    fn default() -> Self {
        Self {
            role: Role::Vacant,
            isolated: false,
            network: NetworkId::NONE,
            max_frame_octets: 0,
            vlans: None,
            mac: MacAddr::ZERO,
            peer: PortId::NONE,
        }
    }
}

impl PortEntry {
    /// The network of frames tagged `vid`, if any.
    #[inline]
    pub fn tagged_network(&self, vid: u16) -> Option<NetworkId> {
        let network = *self.vlans.as_ref()?.get(usize::from(vid))?;
        network.is_some().then_some(network)
    }
}
