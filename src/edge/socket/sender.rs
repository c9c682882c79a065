//! The sending half of a connection, a task that alone waits for the socket.
//!
//! Long messages go out in fragments, as the real server sends them.

use futures_util::{Sink, SinkExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

/// Longest payload that is sent in one piece; longer ones are cut into pieces of this length.
pub const FRAGMENT_LEN: usize = 262_144;

/// Sends until the queue ends or the connection breaks, which the reading half notices too. Returns
/// the sink, so that the two halves can be reunited.
pub(in crate::edge) async fn send_all<S>(mut sink: S, mut queue: mpsc::Receiver<Message>) -> S
where
    S: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    while let Some(message) = queue.recv().await {
        for part in fragments(message) {
            if sink.send(part).await.is_err() {
                return sink;
            }
        }
    }
    sink
}

fn fragments(message: Message) -> Vec<Message> {
    match message {
        Message::Text(text) if text.len() > FRAGMENT_LEN => cut(&text.into(), Data::Text),
        Message::Binary(payload) if payload.len() > FRAGMENT_LEN => cut(&payload, Data::Binary),
        short => vec![short],
    }
}

fn cut(payload: &Bytes, kind: Data) -> Vec<Message> {
    let count = payload.len().div_ceil(FRAGMENT_LEN);
    let part = |i: usize| {
        let start = i * FRAGMENT_LEN;
        let piece = payload.slice(start..payload.len().min(start + FRAGMENT_LEN));
        let opcode = OpCode::Data(if i == 0 { kind } else { Data::Continue });
        Message::Frame(Frame::message(piece, opcode, i + 1 == count))
    };
    (0..count).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: Message, expected: &[(OpCode, usize, bool)]) {
        let payload = message.clone().into_data();
        let frames: Vec<Frame> = fragments(message)
            .into_iter()
            .map(|part| match part {
                Message::Frame(frame) => frame,
                Message::Text(text) => Frame::message(text, OpCode::Data(Data::Text), true),
                other => Frame::message(other.into_data(), OpCode::Data(Data::Binary), true),
            })
            .collect();
        let shape =
            |frame: &Frame| (frame.header().opcode, frame.payload().len(), frame.header().is_final);
        assert_eq!(frames.iter().map(shape).collect::<Vec<_>>(), expected);
        let joined: Vec<u8> = frames.iter().flat_map(|frame| frame.payload().to_vec()).collect();
        assert_eq!(joined, payload);
    }

    #[test]
    fn long_messages_go_in_pieces() {
        let binary = |len: usize| Message::binary((0..len).map(|i| i as u8).collect::<Vec<_>>());
        let [text, first, further] = [Data::Text, Data::Binary, Data::Continue].map(OpCode::Data);
        check(binary(0), &[(first, 0, true)]);
        check(binary(FRAGMENT_LEN), &[(first, FRAGMENT_LEN, true)]);
        check(binary(FRAGMENT_LEN + 1), &[(first, FRAGMENT_LEN, false), (further, 1, true)]);
        check(
            binary(3 * FRAGMENT_LEN),
            &[
                (first, FRAGMENT_LEN, false),
                (further, FRAGMENT_LEN, false),
                (further, FRAGMENT_LEN, true),
            ],
        );
        let long = Message::text("é".repeat(FRAGMENT_LEN / 2) + "!");
        check(long, &[(text, FRAGMENT_LEN, false), (further, 1, true)]);
    }
}
