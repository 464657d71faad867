//! Replies that weir itself gives: ARP, neighbour discovery, ICMP echo.
