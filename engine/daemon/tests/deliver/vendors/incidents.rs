//! The incidents of an API that has them.

/// An incident: by what it is known, what was said of it, and whether it is over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Incident {
    pub(super) key: String,
    pub(super) said: Vec<String>,
    pub(super) over: bool,
}

impl Incident {
    pub(super) fn say(&mut self, what: &str) {
        self.said.push(what.to_owned());
    }
}

/// All incidents that there ever were.
#[derive(Debug, Default)]
pub(super) struct Incidents(pub(super) Vec<Incident>);

impl Incidents {
    /// The one of this key that is not over.
    pub(super) fn open(&mut self, key: &str) -> Option<&mut Incident> {
        self.0.iter_mut().find(|incident| incident.key == key && !incident.over)
    }

    /// The same, or a new one.
    pub(super) fn open_or_add(&mut self, key: &str) -> &mut Incident {
        let open = self.0.iter().position(|incident| incident.key == key && !incident.over);
        let at = open.unwrap_or_else(|| {
            self.0.push(Incident { key: key.to_owned(), ..Incident::default() });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// The only one, which is over; gives what was said of it.
    pub(super) fn only(&self) -> &[String] {
        assert!(matches!(&self.0[..], [it] if it.over), "not one that is over: {:#?}", self.0);
        &self.0[0].said
    }
}
