//! Indexes that the plan hands out in place of names, so that no request hashes a configured string.

/// One endpoint of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u32);

/// One backend: its endpoint, and its place among the endpoint's backends, shadows last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId {
    pub endpoint: EndpointId,
    pub place: u32,
}

/// One upstream host of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub u32);

impl EndpointId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl BackendId {
    /// The two indexes of this backend's stages.
    pub fn parts(self) -> (usize, usize) {
        (self.endpoint.index(), self.place as usize)
    }
}

impl HostId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
