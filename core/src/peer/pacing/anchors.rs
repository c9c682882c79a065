//! Regions that the client requests by position (`render_anchor_s`, `render_anchor_queue_s`).
//!
//! Each request is rendered once, in order; at most [`AnchorQueue::CAPACITY`] wait.

use std::collections::VecDeque;

/// The positions still to be rendered.
#[derive(Clone, Debug, Default)]
pub struct AnchorQueue {
    anchor_s: Option<f64>,
    waiting: VecDeque<f64>,
}

impl AnchorQueue {
    /// Most positions kept; what comes beyond is forgotten.
    pub const CAPACITY: usize = 256;

    /// `render_anchor_s`: a position, or `None` to clear it. The same one again asks for nothing.
    pub fn set_anchor(&mut self, at_s: Option<f64>) {
        if at_s != self.anchor_s {
            self.anchor_s = at_s;
            self.push(at_s);
        }
    }

    /// One more of `render_anchor_queue_s`.
    pub fn push(&mut self, at_s: impl Into<Option<f64>>) {
        let at_s = at_s.into().filter(|at_s: &f64| at_s.is_finite());
        if let Some(at_s) = at_s
            && self.waiting.len() < Self::CAPACITY
        {
            self.waiting.push_back(at_s);
        }
    }

    /// The next position to render.
    pub fn pop(&mut self) -> Option<f64> {
        self.waiting.pop_front()
    }

    /// A swap forgets them all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_position_once_in_order() {
        let mut anchors = AnchorQueue::default();
        anchors.set_anchor(Some(1.0));
        anchors.set_anchor(Some(1.0));
        anchors.push(2.0);
        anchors.push(f64::NAN);
        anchors.set_anchor(None);
        anchors.set_anchor(Some(1.0));
        let popped: Vec<f64> = std::iter::from_fn(|| anchors.pop()).collect();
        assert_eq!(popped, [1.0, 2.0, 1.0]);
    }

    #[test]
    fn no_more_than_the_capacity() {
        let mut anchors = AnchorQueue::default();
        (0..10_000).for_each(|i| anchors.push(f64::from(i)));
        assert_eq!(std::iter::from_fn(|| anchors.pop()).count(), AnchorQueue::CAPACITY);
    }
}
