# Reads an export with the tools' own code, and says what stands in it.
import json
import sys


def perfetto(path):
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

    trace = Trace()
    with open(path, "rb") as file:
        trace.ParseFromString(file.read())
    names, units = {}, {}
    for packet in trace.packet:
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            names[track.uuid] = track.name
            units[track.uuid] = track.counter.unit_name
    tracks, begun, ended = {}, {}, {}
    for packet in trace.packet:
        if not packet.HasField("track_event"):
            continue
        event = packet.track_event
        track = tracks.setdefault(names[event.track_uuid], {"unit": units[event.track_uuid], "events": []})
        kind = TrackEvent.Type.Name(event.type)
        notes = {note.name: note.double_value or note.uint_value or note.string_value for note in event.debug_annotations}
        track["events"].append([packet.timestamp, kind, event.name, event.double_counter_value, notes])
        begun.update((flow, packet.timestamp) for flow in event.flow_ids)
        ended.update((flow, packet.timestamp) for flow in event.terminating_flow_ids)
    return {"tracks": tracks, "flows": [[begun[flow], ended[flow]] for flow in begun], "ended": len(ended)}


def mcap(path):
    from mcap.reader import make_reader
    from mcap_protobuf.decoder import DecoderFactory

    topics = {}
    with open(path, "rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            fields = {field.name: getattr(decoded, field.name) for field in decoded.DESCRIPTOR.fields}
            if schema.name == "foxglove.Log":
                fields["timestamp"] = decoded.timestamp.ToNanoseconds()
            topics.setdefault(channel.topic, []).append([message.log_time, schema.name, fields])
    return topics


print(json.dumps({"perfetto": perfetto, "mcap": mcap}[sys.argv[1]](sys.argv[2])))
