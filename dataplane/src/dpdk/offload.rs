//! What devices and packets say to each other about checksums.

/// What a device says of a received packet's transport checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum L4Checksum {
    /// Nothing.
    Unknown,
    /// It is right.
    Good,
    /// It is wrong.
    Bad,
    /// The field is not filled in, but the data is known to be whole: it never left this machine.
    Open,
}

/// A transport protocol whose checksum a device can finish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum L4Kind {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}
