//! One integration binary; each module is one subject.

mod audio_file;
mod backend;
mod capture;
mod checkpoint;
mod cli;
mod context;
mod derive;
mod diff;
mod engine;
mod flight;
mod fuzz;
mod golden;
mod golden_client;
mod golden_codec;
mod golden_lag;
mod golden_names;
mod golden_playhead;
mod golden_sessions;
mod hostile;
mod incidents;
mod join;
mod live;
#[cfg(feature = "mcp")]
mod mcp;
#[cfg(feature = "mcp")]
mod mcp_clients;
mod peer_pacing;
mod python;
mod python_client;
mod python_reader;
mod python_server;
mod record;
mod record_faults;
mod recorder;
mod replay;
mod scenario;
mod session_log;
mod simulated;
mod survive;
mod sweep;
mod tidy;
mod what_if;
mod what_if_model;
mod what_if_oracle;
