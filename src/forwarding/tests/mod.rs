//! Sessions over real sockets, each with a program at either end.

mod ends;
mod idle;
mod rig;
mod stops;
mod traffic;
