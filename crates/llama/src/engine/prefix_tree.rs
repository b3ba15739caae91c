//! Pages of keys and values that requests began with, kept for those that begin alike.
//!
//! ```text
//!  tenant a ─► 16 tokens ─► 16 tokens ─┬─► 16 tokens        each node: its tokens, one page
//!                                      └─► 16 tokens ─► ..
//!  tenant b ─► 16 tokens ─► ..         nothing leads from one tenant's nodes to another's
//! ```
//!
//! A page is shared by reference with the sequences that use it, and is never written to again. A
//! sequence may also begin with a part of a page: its first write copies that page. Pages that
//! nobody uses are evicted, the least recently used first, a page always before those that it
//! follows.

use super::request::Tenant;
use crate::kv_cache::{KvCache, PAGE, SharedPage};
use crate::tokenizer::TokenId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The tokens of a page.
pub(super) type PageTokens = [TokenId; PAGE];

type Children = BTreeMap<PageTokens, usize>;

/// How far into the tree a sequence has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The node of its last page; none at the tenant's root.
    node: Option<usize>,
    /// Pages up to there.
    pages: usize,
}

impl Place {
    /// The tokens of the page that follows, where `tokens` has all of them.
    pub(super) fn next_page(self, tokens: &[TokenId]) -> Option<PageTokens> {
        let from = self.pages * PAGE;
        tokens.get(from..from + PAGE)?.try_into().ok()
    }
}

struct Node {
    tenant: Tenant,
    parent: Option<usize>,
    tokens: PageTokens,
    page: SharedPage,
    children: Children,
    /// When it was last used, by the tree's own count.
    used: u64,
}

/// The pages of all tenants.
#[derive(Default)]
pub(super) struct PrefixTree {
    nodes: Vec<Option<Node>>,
    free: Vec<usize>,
    roots: HashMap<Tenant, Children>,
    /// Nodes without children, the least recently used first.
    leaves: BTreeSet<(u64, usize)>,
    clock: u64,
}

impl PrefixTree {
    /// Pages that it holds.
    pub(super) fn pages(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Gives a cache all that the tree has of `tokens` behind `place`, where the cache has filled
    /// no more than that itself. Gives back the place it has come to.
    pub(super) fn extend(
        &mut self,
        tenant: &Tenant,
        mut place: Place,
        (cache, tokens): (&mut KvCache, &[TokenId]),
    ) -> Place {
        while let Some(page) = place.next_page(tokens)
            && let Some(node) = self.child(tenant, place, &page)
        {
            cache.truncate(place.pages * PAGE);
            cache.push(&self.node(node).page, PAGE);
            place = self.step(place, node);
        }
        let base = place.pages * PAGE;
        let (node, shared) = self.nearest(tenant, place, &tokens[base..]);
        if let Some(node) = node
            && base + shared > cache.len()
        {
            cache.truncate(base);
            cache.push(&self.node(node).page, shared);
            self.touch(node);
        }
        place
    }

    /// Takes in the whole pages of a cache behind `place`; where it has a page already, the cache
    /// gets that one. Gives back the place of the last.
    pub(super) fn insert(
        &mut self,
        tenant: &Tenant,
        mut place: Place,
        (cache, tokens): (&mut KvCache, &[TokenId]),
    ) -> Place {
        let filled = cache.len();
        while let Some(page) = place.next_page(&tokens[..filled]) {
            let node = match self.child(tenant, place, &page) {
                Some(node) => {
                    cache.replace_page(place.pages, &self.node(node).page);
                    node
                }
                None => self.add(tenant, place, page, cache.page(place.pages)),
            };
            place = self.step(place, node);
        }
        place
    }

    /// Forgets the least recently used page that nobody uses. False where there is none.
    pub(super) fn evict(&mut self) -> bool {
        let unused = |(_, node): &&(u64, usize)| self.node(*node).page.is_unused();
        let Some(oldest) = self.leaves.iter().find(unused).copied() else {
            return false;
        };
        self.leaves.remove(&oldest);
        let Some(node) = self.nodes[oldest.1].take() else {
            unreachable!("a leaf is a node");
        };
        self.free.push(oldest.1);
        let siblings = match node.parent {
            Some(parent) => &mut self.node_mut(parent).children,
            None => self.roots.entry(node.tenant.clone()).or_default(),
        };
        siblings.remove(&node.tokens);
        if siblings.is_empty() {
            match node.parent {
                Some(parent) => {
                    let used = self.node(parent).used;
                    self.leaves.insert((used, parent));
                }
                None => {
                    self.roots.remove(&node.tenant);
                }
            }
        }
        true
    }

    fn node(&self, index: usize) -> &Node {
        match &self.nodes[index] {
            Some(node) => node,
            None => unreachable!("pages in use are not evicted, so that their places stay"),
        }
    }

    fn node_mut(&mut self, index: usize) -> &mut Node {
        match &mut self.nodes[index] {
            Some(node) => node,
            None => unreachable!("pages in use are not evicted, so that their places stay"),
        }
    }

    fn children(&self, tenant: &Tenant, place: Place) -> Option<&Children> {
        match place.node {
            Some(node) => Some(&self.node(node).children),
            None => self.roots.get(tenant),
        }
    }

    fn child(&self, tenant: &Tenant, place: Place, page: &PageTokens) -> Option<usize> {
        self.children(tenant, place)?.get(page).copied()
    }

    /// The child that shares the most first tokens with `tokens`, and how many.
    fn nearest(&self, tenant: &Tenant, place: Place, tokens: &[TokenId]) -> (Option<usize>, usize) {
        let Some(children) = self.children(tenant, place) else {
            return (None, 0);
        };
        let tokens = &tokens[..tokens.len().min(PAGE)];
        let mut sought = [0; PAGE];
        sought[..tokens.len()].copy_from_slice(tokens);
        // In order of their tokens, no child shares more than one of its neighbours does.
        let before = children.range(..sought).next_back();
        let after = children.range(sought..).next();
        let shared =
            |page: &PageTokens| page.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let neighbours = [before, after].into_iter().flatten();
        neighbours
            .map(|(page, node)| (Some(*node), shared(page)))
            .max_by_key(|(_, shared)| *shared)
            .unwrap_or((None, 0))
    }

    fn step(&mut self, place: Place, node: usize) -> Place {
        self.touch(node);
        Place {
            node: Some(node),
            pages: place.pages + 1,
        }
    }

    fn touch(&mut self, index: usize) {
        self.clock += 1;
        let now = self.clock;
        let node = self.node_mut(index);
        let before = std::mem::replace(&mut node.used, now);
        if self.leaves.remove(&(before, index)) {
            self.leaves.insert((now, index));
        }
    }

    fn add(
        &mut self,
        tenant: &Tenant,
        place: Place,
        tokens: PageTokens,
        page: SharedPage,
    ) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.nodes.len() - 1
        });
        self.nodes[index] = Some(Node {
            tenant: tenant.clone(),
            parent: place.node,
            tokens,
            page,
            children: Children::new(),
            used: 0,
        });
        self.leaves.insert((0, index));
        match place.node {
            Some(parent) => {
                let node = self.node_mut(parent);
                node.children.insert(tokens, index);
                let used = node.used;
                self.leaves.remove(&(used, parent));
            }
            None => {
                let root = self.roots.entry(tenant.clone()).or_default();
                root.insert(tokens, index);
            }
        }
        index
    }
}
