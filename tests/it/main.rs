//! End-to-end tests: the program against real files, real shells, real SSH servers.

mod placeholder {}
