//! The in-memory twin of an mbuf.

use super::{Meta, PacketBuf};

/// A packet in ordinary memory, with the headroom of an mbuf: for tests, fuzzing and dry runs, not for the packet path.
#[derive(Clone, Debug, Default)]
pub struct VecBuf {
    /// Headroom and first segment.
    first: Vec<u8>,
    /// Where the first segment starts, after the headroom.
    start: usize,
    /// Further segments.
    rest: Vec<Vec<u8>>,
    meta: Meta,
}

impl VecBuf {
    /// Octets of headroom that DPDK gives an mbuf by default (`RTE_PKTMBUF_HEADROOM`).
    pub const HEADROOM_OCTETS: usize = 128;

    /// A packet of one segment.
    pub fn from_octets(octets: &[u8]) -> Self {
        Self::with_headroom(Self::HEADROOM_OCTETS, &[octets])
    }

    /// A packet of these segments; none makes one that is empty.
    pub fn with_segments(segments: &[&[u8]]) -> Self {
        Self::with_headroom(Self::HEADROOM_OCTETS, segments)
    }

    /// A packet of these segments, the first behind `headroom_octets` of headroom.
    pub fn with_headroom(headroom_octets: usize, segments: &[&[u8]]) -> Self {
        let (head, rest) = segments.split_first().map_or((&[][..], &[][..]), |(head, rest)| (*head, rest));
        // The headroom has a content, so that whoever relies on zeros in a prepended header is found out.
        let mut first = vec![0xa5; headroom_octets];
        first.extend_from_slice(head);
        Self { first, start: headroom_octets, rest: rest.iter().map(|s| s.to_vec()).collect(), meta: Meta::default() }
    }

    /// The packet's octets, all segments.
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = self.head().to_vec();
        self.rest.iter().for_each(|segment| octets.extend_from_slice(segment));
        octets
    }

    /// Octets that can still be prepended.
    pub const fn headroom_octets(&self) -> usize {
        self.start
    }
}

impl PacketBuf for VecBuf {
    fn head(&self) -> &[u8] {
        self.first.get(self.start..).unwrap_or_default()
    }

    fn head_mut(&mut self) -> &mut [u8] {
        self.first.get_mut(self.start..).unwrap_or_default()
    }

    fn packet_octets(&self) -> usize {
        self.head().len() + self.rest.iter().map(Vec::len).sum::<usize>()
    }

    fn prepend<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.start = self.start.checked_sub(N)?;
        self.head_mut().first_chunk_mut()
    }

    fn trim_front(&mut self, octets: usize) -> bool {
        let enough = octets <= self.head().len();
        if enough {
            self.start += octets;
        }
        enough
    }

    fn truncate(&mut self, octets: usize) -> bool {
        if octets > self.packet_octets() {
            return false;
        }
        let mut left = octets;
        let head_octets = left.min(self.head().len());
        self.first.truncate(self.start + head_octets);
        left -= head_octets;
        for segment in &mut self.rest {
            segment.truncate(left);
            left -= segment.len();
        }
        self.rest.retain(|segment| !segment.is_empty());
        true
    }

    fn for_each_segment(&self, visit: &mut dyn FnMut(&[u8])) {
        visit(self.head());
        self.rest.iter().for_each(|segment| visit(segment));
    }

    fn write_at(&mut self, offset: usize, octets: &[u8]) -> bool {
        if offset.checked_add(octets.len()).is_none_or(|end| end > self.packet_octets()) {
            return false;
        }
        let head = self.first.get_mut(self.start..).unwrap_or_default();
        let places = head.iter_mut().chain(self.rest.iter_mut().flatten()).skip(offset);
        places.zip(octets).for_each(|(place, octet)| *place = *octet);
        true
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Prepend4([u8; 4]),
        Prepend60([u8; 60]),
        TrimFront(usize),
        Truncate(usize),
        WriteAt(usize, Vec<u8>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(Step::Prepend4),
            any::<[u8; 60]>().prop_map(Step::Prepend60),
            (0_usize..80).prop_map(Step::TrimFront),
            (0_usize..300).prop_map(Step::Truncate),
            ((0_usize..200), proptest::collection::vec(any::<u8>(), 0..8)).prop_map(|(o, v)| Step::WriteAt(o, v)),
        ]
    }

    fn prepend<const N: usize>(buf: &mut VecBuf, model: &mut Vec<u8>, octets: [u8; N]) {
        let room = buf.headroom_octets();
        let done = buf.prepend::<N>().map(|place| *place = octets).is_some();
        assert_eq!(done, room >= N);
        if done {
            model.splice(0..0, octets);
        }
    }

    proptest! {
        /// The model of a packet is its octets; where segments end must not show but in `head`.
        #[test]
        fn it_behaves_like_its_octets(
            segments in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 1..4),
            headroom in 0_usize..140,
            steps in proptest::collection::vec(step(), 0..12),
        ) {
            let slices: Vec<&[u8]> = segments.iter().map(Vec::as_slice).collect();
            let mut buf = VecBuf::with_headroom(headroom, &slices);
            let mut model = segments.concat();
            for step in steps {
                match step {
                    Step::Prepend4(octets) => prepend(&mut buf, &mut model, octets),
                    Step::Prepend60(octets) => prepend(&mut buf, &mut model, octets),
                    Step::TrimFront(octets) => {
                        let enough = octets <= buf.head().len();
                        prop_assert_eq!(buf.trim_front(octets), enough);
                        if enough {
                            model.drain(..octets);
                        }
                    }
                    Step::Truncate(octets) => {
                        prop_assert_eq!(buf.truncate(octets), octets <= model.len());
                        model.truncate(octets);
                    }
                    Step::WriteAt(offset, octets) => {
                        let fits = offset + octets.len() <= model.len();
                        prop_assert_eq!(buf.write_at(offset, &octets), fits);
                        if fits {
                            model[offset..offset + octets.len()].copy_from_slice(&octets);
                        }
                    }
                }
                prop_assert_eq!(buf.octets(), model.clone());
                prop_assert_eq!(buf.packet_octets(), model.len());
                prop_assert!(model.starts_with(buf.head()));
                let mut seen = Vec::new();
                buf.for_each_segment(&mut |segment| seen.extend_from_slice(segment));
                prop_assert_eq!(&seen, &model);
            }
        }
    }

    #[test]
    fn a_truncated_empty_head_stays_writable() {
        let mut buf = VecBuf::with_segments(&[]);
        assert_eq!(buf.packet_octets(), 0);
        assert!(buf.truncate(0) && !buf.truncate(1) && !buf.trim_front(1));
        buf.prepend::<2>().unwrap().copy_from_slice(b"ab");
        assert_eq!(buf.octets(), b"ab");
    }
}
