//! The messages of an MCAP file and their schemas, which travel in it: Rerun and Foxglove read numbers of
//! protobuf messages without having heard of them before.

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, Timestamp,
};

/// A slice when it landed.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SliceMessage {
    /// Seconds from the initial buffer.
    #[prost(double, tag = "1")]
    pub t_s: f64,
    #[prost(uint64, tag = "2")]
    pub record: u64,
    #[prost(double, tag = "3")]
    pub start_s: f64,
    #[prost(double, tag = "4")]
    pub length_s: f64,
    #[prost(double, tag = "5")]
    pub lead_s: f64,
    #[prost(double, tag = "6")]
    pub interval_s: f64,
    #[prost(double, tag = "7")]
    pub tick_ms: f64,
    #[prost(double, tag = "8")]
    pub decode_ms: f64,
    #[prost(uint32, tag = "9")]
    pub generations: u32,
    #[prost(uint64, tag = "10")]
    pub bytes: u64,
}

/// A report of the client.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ReportMessage {
    #[prost(double, tag = "1")]
    pub t_s: f64,
    #[prost(uint64, tag = "2")]
    pub record: u64,
    #[prost(double, tag = "3")]
    pub playhead_s: f64,
    #[prost(double, tag = "4")]
    pub staleness_s: f64,
    #[prost(double, tag = "5")]
    pub interval_s: f64,
    /// Missing where the client acknowledges nothing.
    #[prost(double, optional, tag = "6")]
    pub in_flight_bytes: Option<f64>,
}

/// Any message, and any other record with a place on the time line.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AnyMessage {
    #[prost(double, tag = "1")]
    pub t_s: f64,
    #[prost(uint64, tag = "2")]
    pub record: u64,
    #[prost(uint32, tag = "3")]
    pub conn: u32,
    #[prost(string, tag = "4")]
    pub from: String,
    #[prost(string, tag = "5")]
    pub kind: String,
    #[prost(uint64, tag = "6")]
    pub bytes: u64,
}

/// `foxglove.Log`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct LogMessage {
    #[prost(message, optional, tag = "1")]
    pub timestamp: Option<Timestamp>,
    #[prost(enumeration = "LogLevel", tag = "2")]
    pub level: i32,
    #[prost(string, tag = "3")]
    pub message: String,
    #[prost(string, tag = "4")]
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum LogLevel {
    Unknown = 0,
    Info = 2,
    Warning = 3,
}

/// The names of the schemas.
pub(super) const SLICE: &str = "lagtape.Slice";
pub(super) const REPORT: &str = "lagtape.Report";
pub(super) const ANY: &str = "lagtape.Message";
pub(super) const LOG: &str = "foxglove.Log";

const NUMBER: Type = Type::Double;

/// A `FileDescriptorSet` with the message of this name and all that it needs.
pub(super) fn descriptors(name: &str) -> Vec<u8> {
    let files = match name {
        LOG => vec![timestamp(), log()],
        _ => vec![ours()],
    };
    FileDescriptorSet { file: files }.encode_to_vec()
}

fn ours() -> FileDescriptorProto {
    let seconds = |name| (name, NUMBER, None);
    let whole = |name| (name, Type::Uint64, None);
    let slice = [
        seconds("t_s"),
        whole("record"),
        seconds("start_s"),
        seconds("length_s"),
        seconds("lead_s"),
        seconds("interval_s"),
        seconds("tick_ms"),
        seconds("decode_ms"),
        ("generations", Type::Uint32, None),
        whole("bytes"),
    ];
    let report = [
        seconds("t_s"),
        whole("record"),
        seconds("playhead_s"),
        seconds("staleness_s"),
        seconds("interval_s"),
        seconds("in_flight_bytes"),
    ];
    let mut report = message("Report", &report);
    // Optional fields of proto3 are written as a choice of one.
    let optional = report.field.last_mut().expect("it has fields");
    optional.proto3_optional = Some(true);
    optional.oneof_index = Some(0);
    let name = Some("_in_flight_bytes".to_owned());
    report.oneof_decl.push(prost_types::OneofDescriptorProto { name, ..Default::default() });
    let any = [
        seconds("t_s"),
        whole("record"),
        ("conn", Type::Uint32, None),
        ("from", Type::String, None),
        ("kind", Type::String, None),
        whole("bytes"),
    ];
    file(
        "lagtape.proto",
        "lagtape",
        vec![message("Slice", &slice), report, message("Message", &any)],
    )
}

fn log() -> FileDescriptorProto {
    let mut log = message(
        "Log",
        &[
            ("timestamp", Type::Message, Some(".google.protobuf.Timestamp")),
            ("level", Type::Enum, Some(".foxglove.Log.Level")),
            ("message", Type::String, None),
            ("name", Type::String, None),
            ("file", Type::String, None),
            ("line", Type::Fixed32, None),
        ],
    );
    let names = ["UNKNOWN", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL"];
    let value = |(number, name): (i32, &str)| EnumValueDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        ..Default::default()
    };
    log.enum_type.push(EnumDescriptorProto {
        name: Some("Level".to_owned()),
        value: (0..).zip(names).map(value).collect(),
        ..Default::default()
    });
    let mut file = file("foxglove/Log.proto", "foxglove", vec![log]);
    file.dependency.push("google/protobuf/timestamp.proto".to_owned());
    file
}

fn timestamp() -> FileDescriptorProto {
    let fields = [("seconds", Type::Int64, None), ("nanos", Type::Int32, None)];
    let message = message("Timestamp", &fields);
    file("google/protobuf/timestamp.proto", "google.protobuf", vec![message])
}

fn file(name: &str, package: &str, messages: Vec<DescriptorProto>) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(name.to_owned()),
        package: Some(package.to_owned()),
        message_type: messages,
        syntax: Some("proto3".to_owned()),
        ..Default::default()
    }
}

/// A message whose fields have the numbers of their places, from 1 on.
fn message(name: &str, fields: &[(&str, Type, Option<&str>)]) -> DescriptorProto {
    let field =
        |(number, (name, kind, of)): (i32, &(&str, Type, Option<&str>))| FieldDescriptorProto {
            name: Some((*name).to_owned()),
            number: Some(number),
            label: Some(Label::Optional.into()),
            r#type: Some((*kind).into()),
            type_name: of.map(str::to_owned),
            json_name: Some((*name).to_owned()),
            ..Default::default()
        };
    DescriptorProto {
        name: Some(name.to_owned()),
        field: (1..).zip(fields).map(field).collect(),
        ..Default::default()
    }
}
