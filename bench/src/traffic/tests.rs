//! The frames against an independent writer's octets (scapy 2.5), flow 201: the second of its container.

use std::path::PathBuf;

use super::*;

const INNER: &str = "02000000020102000000010108004500002e00010000401166b80a0100020a02000204b107d0001aa2f6\
                     787878787878787878787878787878787878";
const ROUTED: &str = "02000000020102000000010108004500002e00010000401164d90a0101020a1900ca04b107d0001aa117\
                      787878787878787878787878787878787878";
const OUTER: &str = "02aa0000000102aa000000020800450000600001000040112622c6336402c6336401c0c912b5004c0000\
                     0800000000006400";

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().concat()
}

#[test]
fn frames_are_those_of_an_independent_writer() {
    assert_eq!(hex(&Shape::Inner.frame(201)), INNER);
    assert_eq!(hex(&Shape::Routed.frame(201)), ROUTED);
    assert_eq!(hex(&Shape::Vxlan.frame(201)), [OUTER, INNER].concat());
}

#[test]
fn every_flow_has_its_frame_and_every_frame_its_size() {
    for (shape, octets) in [(Shape::Inner, 60), (Shape::Routed, 60), (Shape::Vxlan, 110)] {
        let frames: std::collections::HashSet<_> = (0..4096).map(|flow| shape.frame(flow)).collect();
        assert_eq!(frames.len(), 4096, "{shape:?}");
        assert!(frames.iter().all(|frame| frame.len() == octets), "{shape:?}");
    }
}

#[test]
fn files_read_back_and_can_be_cut() {
    let folder: PathBuf = std::env::temp_dir().join(format!("weir-bench-traffic-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = write(Shape::Vxlan, 16, &folder).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 24 + 16 * (16 + 110));
    let cut = folder.join("cut.pcap");
    assert_eq!(copy_first(&path, &cut, 3).unwrap(), 3);
    let mut reader = PcapReader::new(File::open(&cut).unwrap()).unwrap();
    for flow in 0..3 {
        assert_eq!(reader.next_packet().unwrap().unwrap().data, Shape::Vxlan.frame(flow));
    }
    assert!(reader.next_packet().is_none());
    assert_eq!(copy_first(&path, &cut, 99).unwrap(), 16);
    std::fs::remove_dir_all(&folder).unwrap();
}
