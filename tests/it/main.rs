//! One integration binary; each module is one subject.

mod capture;
mod golden;
mod python_reader;
mod session_log;
