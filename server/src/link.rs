//! What a shard thread and the control plane tell each other, over two bounded rings that neither
//! waits on: the control plane looks every few milliseconds, the shard once a turn after a wake.

use rtrb::{Consumer, Producer, RingBuffer};

use crate::broker::{SharedMap, Topic};
use crate::data_version::DataVersion;
use crate::desk::{Question, Reply};
use crate::limits;
use crate::namesrv::MinBrokerChange;

/// What the control plane tells a shard.
#[derive(Clone, Debug)]
pub enum Command {
    /// Take no more sends, finish what is in flight, checkpoint; [`Notice::Stopped`] follows.
    Stop,
    /// Close all connections and end the thread's loop.
    Exit,
    /// A [`Notice::Ask`] is answered.
    Reply(Box<Reply>),
}

/// What a shard tells the control plane.
#[derive(Clone, Debug)]
pub enum Notice<W> {
    /// The first one: how to wake the thread.
    Started(W),
    /// Home shard: connections are accepted.
    Ready,
    /// Home shard: the topics have changed; name servers must learn of it. Also before
    /// [`Notice::Ready`].
    Topics(SharedMap<Topic>, DataVersion),
    /// The name server's KV configuration has changed: this is its file now.
    Kv(String),
    /// A client asks for what only the control plane has.
    Ask(Box<Question>),
    /// The name server's brokers that must be told of a changed smallest id.
    MinBrokers(Vec<MinBrokerChange>),
    /// [`Command::Stop`] is done.
    Stopped,
    /// A write or flush failed: the process must end with exit code 70.
    Failed,
}

/// The shard's end.
#[derive(Debug)]
pub struct ShardLink<W> {
    commands: Consumer<Command>,
    notices: Producer<Notice<W>>,
}

/// The control plane's end.
#[derive(Debug)]
pub struct ControlLink<W> {
    commands: Producer<Command>,
    notices: Consumer<Notice<W>>,
}

/// Both ends.
pub fn pair<W>() -> (ShardLink<W>, ControlLink<W>) {
    let (commands_in, commands) = RingBuffer::new(limits::LINK_SLOTS);
    let (notices, notices_out) = RingBuffer::new(limits::LINK_SLOTS);
    (
        ShardLink { commands, notices },
        ControlLink {
            commands: commands_in,
            notices: notices_out,
        },
    )
}

impl<W> ShardLink<W> {
    /// The next command.
    pub fn command(&mut self) -> Option<Command> {
        self.commands.pop().ok()
    }

    /// Tells the control plane; `false` when it has not listened for long, to be told again later.
    pub fn tell(&mut self, notice: Notice<W>) -> bool {
        self.notices.push(notice).is_ok()
    }

    /// Whether there is room for a notice.
    pub fn has_room(&self) -> bool {
        self.notices.slots() > 0
    }

    /// Whether the control plane's end is gone: nobody will answer.
    pub fn is_abandoned(&self) -> bool {
        self.notices.is_abandoned()
    }

    /// Whether there is room for a question: the last slots are for what the process depends on.
    pub fn has_room_for_questions(&self) -> bool {
        self.notices.slots() > limits::LINK_SLOTS / 2
    }
}

impl<W> ControlLink<W> {
    /// Commands the shard; wake it afterwards. `false` when too many wait already.
    pub fn command(&mut self, command: Command) -> bool {
        self.commands.push(command).is_ok()
    }

    /// Whether there is room for a reply: the last slots are for other commands.
    pub fn has_room_for_replies(&self) -> bool {
        self.commands.slots() > limits::LINK_SLOTS / 2
    }

    /// Whether the shard's end is gone: its thread has ended.
    pub fn is_abandoned(&self) -> bool {
        self.commands.is_abandoned()
    }

    /// The next notice.
    pub fn notice(&mut self) -> Option<Notice<W>> {
        self.notices.pop().ok()
    }
}
