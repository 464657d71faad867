//! Explicit congestion notification across tunnels (RFC 6040; for tunnels with a shim header, RFC 9601).

use crate::wire::Ecn;

/// The outer ECN field of a packet that enters a tunnel: normal mode, a copy of the inner one (RFC 6040 § 4.1).
#[inline]
pub const fn encapsulate(inner: Ecn) -> Ecn {
    inner
}

/// "Drop" in [`DECAPSULATE`].
const DROP: u8 = 0xff;

/// New inner field by `inner << 2 | outer` (RFC 6040 § 4.2, figure 4).
const DECAPSULATE: [u8; 16] = [
    // outer: Not-ECT, ECT(1), ECT(0), CE
    0b00, 0b00, 0b00, DROP, // inner Not-ECT
    0b01, 0b01, 0b01, 0b11, // inner ECT(1)
    0b10, 0b01, 0b10, 0b11, // inner ECT(0)
    0b11, 0b11, 0b11, 0b11, // inner CE
];

/// The inner ECN field of a packet that leaves a tunnel, or `None` when it must be dropped (RFC 6040 § 4.2).
#[inline]
pub const fn decapsulate(inner: Ecn, outer: Ecn) -> Option<Ecn> {
    match DECAPSULATE[((inner as usize) << 2 | outer as usize) & 15] {
        DROP => None,
        field => Some(Ecn::from_tos(field)),
    }
}

/// Whether this outer field can change a packet's inner one at all: ECT(1) and CE can, the others never do.
///
/// The fast path looks at the inner header only then.
#[inline]
pub const fn may_change_inner(outer_traffic_class: u8) -> bool {
    outer_traffic_class & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Ecn::{Ce, Ect0, Ect1, NotEct};

    #[test]
    fn entering_a_tunnel_copies_the_field() {
        for inner in [NotEct, Ect0, Ect1, Ce] {
            assert_eq!(encapsulate(inner), inner);
            assert_eq!(Ecn::from_tos(inner as u8 | 0xfc), inner);
        }
    }

    #[test]
    fn leaving_a_tunnel_follows_figure_4() {
        // Columns of the figure: outer Not-ECT, ECT(0), ECT(1), CE.
        let figure = [
            (NotEct, [Some(NotEct), Some(NotEct), Some(NotEct), None]),
            (Ect0, [Some(Ect0), Some(Ect0), Some(Ect1), Some(Ce)]),
            (Ect1, [Some(Ect1), Some(Ect1), Some(Ect1), Some(Ce)]),
            (Ce, [Some(Ce), Some(Ce), Some(Ce), Some(Ce)]),
        ];
        for (inner, row) in figure {
            for (outer, expected) in [NotEct, Ect0, Ect1, Ce].into_iter().zip(row) {
                assert_eq!(decapsulate(inner, outer), expected, "inner {inner:?}, outer {outer:?}");
                if !may_change_inner(outer as u8) {
                    assert_eq!(expected, Some(inner), "the fast path would skip a change");
                }
            }
        }
    }
}
