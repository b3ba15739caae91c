//! A whole answer told as a stream.

use domain::{Completion, Opaque, Protocol, StreamEvent};
use serde_json::{Map, Value};

use super::client::Form;
use crate::map;

impl Form {
    /// The events that tell a completion that is there already, as if it had been written in one
    /// breath, with what only a vendor of the form's own protocol said of the answer.
    #[must_use]
    pub fn events(&self, completion: &Completion) -> Vec<StreamEvent> {
        let protocol = self.protocol();
        let beside = completion.beside.as_ref();
        let own = beside.filter(|beside| beside.protocol == protocol);
        let own = own.map(|own| StreamEvent::Unknown(of_stream(own)));
        own.into_iter().chain(StreamEvent::of(completion)).collect()
    }
}

/// What stands beside a whole answer, as the streams of its protocol say it.
fn of_stream(own: &Opaque) -> Opaque {
    let mut fields = map::own(Some(own), own.protocol);
    let event = |kind: &str, place: &str, fields| {
        let mut event = Map::new();
        event.insert("type".to_owned(), kind.into());
        event.insert(place.to_owned(), Value::Object(fields));
        event
    };
    let said = match own.protocol {
        Protocol::OpenAiChat => {
            let mut places = Map::new();
            let usage = map::take_object(&mut fields, "usage");
            let choice = map::take_object(&mut fields, "choices");
            map::put(&mut places, "usage", usage);
            map::put(&mut places, "choice", choice);
            map::put(&mut places, "chunk", fields);
            places
        }
        Protocol::OpenAiResponses => event("response.completed", "response", fields),
        Protocol::Anthropic => event("message_start", "message", fields),
        Protocol::Google => fields,
    };
    map::whole(own.protocol, &said)
}
