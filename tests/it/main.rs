//! One integration binary; each module is one subject.

mod absurd_times;
mod alternatives;
mod askable;
mod audio_file;
mod backend;
mod backend_cli;
mod backend_contract;
mod bookkeeping;
mod capture;
mod checkpoint;
mod cli;
#[cfg(unix)]
mod config;
mod context;
mod derive;
mod devtools;
mod diagnosis_matrix;
mod diff;
mod documents;
mod drop_page;
mod ending;
mod ending_live;
mod engine;
#[cfg(unix)]
mod errors;
mod export;
mod families;
mod family_servers;
mod flac;
mod flight;
mod foreign;
mod fuzz;
mod golden;
mod golden_client;
mod golden_codec;
mod golden_diagnosis;
mod golden_diagnosis_parts;
mod golden_lag;
mod golden_names;
mod golden_playhead;
mod golden_sessions;
mod har;
mod heard;
mod hostile;
mod incidents;
#[cfg(unix)]
mod interrupted;
mod join;
mod live;
mod live_cause;
#[cfg(feature = "mcp")]
mod mcp;
#[cfg(feature = "mcp")]
mod mcp_clients;
mod odd_inputs;
mod other_protocols;
mod packaging;
mod page_compared;
mod page_for_all;
mod partial_evidence;
mod peer_pacing;
mod player_page;
mod program;
mod promises;
mod proof;
mod proxy;
mod proxy_between;
mod proxy_cli;
mod proxy_http;
mod proxy_peers;
mod python;
mod python_client;
mod python_reader;
mod python_server;
mod query;
mod record;
mod record_faults;
mod recorder;
mod redact;
mod replay;
mod replay_ends;
mod replay_middle;
mod report_page;
mod salvage;
mod scenario;
mod served_peers;
#[cfg(unix)]
mod servers_cli;
mod session_log;
mod shell;
mod simulated;
#[cfg(target_os = "linux")]
mod soak;
#[cfg(target_os = "linux")]
mod standing_disk;
mod sweep;
mod tables;
mod text_only;
mod tidy;
mod transcript;
mod untrusted;
mod watch;
mod what_if;
mod what_if_model;
mod what_if_oracle;
