//! Parses templates and prepares their trees, so that positions are known while they run and values behave as in Go.

use gotmpl::TemplateError;
use gotmpl::parse::{
    ActionNode, BranchNode, CommandNode, Expr, ListNode, Node, Number, Parser, PipeNode, Pos,
    TemplateNode, TextNode,
};

use super::natives::{AT, BOUNDED, CHANGING, LIVE, NOTHING, PATH, SHOW};
use super::source_map::{Origin, SourceFile};
use super::structure::{self, Imbalance};

/// A template and its name.
pub type Named = (String, ListNode);

/// Where and why a template cannot be parsed.
pub struct ParseFailure {
    pub source: usize,
    pub line: usize,
    pub column: usize,
    pub what: String,
    /// The function that nobody knows, for a guess at what was meant.
    pub function: Option<String>,
    pub hint: Option<String>,
}

/// All templates of all files; a later one replaces an earlier one of its name, unless it is empty.
pub fn parse(sources: &[SourceFile], functions: &[&str]) -> Result<Vec<Named>, ParseFailure> {
    let mut parsed = Vec::new();
    for (source, file) in sources.iter().enumerate() {
        let fail = |error: TemplateError| failure(source, file, error);
        structure::check(&file.text).map_err(|imbalance| unbalanced(source, file, imbalance))?;
        let parser = Parser::with_name(Some(&file.name), &file.text, "{{", "}}").map_err(fail)?;
        let (body, defines) = parser.parse().map_err(fail)?;
        parsed.push((source, file.name.clone(), body));
        let defines = defines.into_iter();
        parsed.extend(defines.map(|define| (source, define.name.to_string(), define.body)));
    }
    let mut finder = Finder { functions, unknown: None, changes_maps: false };
    for (source, _, body) in &parsed {
        finder.list(body);
        if let Some((name, pos)) = finder.unknown.take() {
            let text = &sources[*source].text;
            return Err(ParseFailure {
                source: *source,
                line: pos.line,
                column: column(text, pos.offset),
                what: format!("function {name:?} not defined"),
                function: Some(name),
                hint: None,
            });
        }
    }
    let mut named: Vec<Named> = Vec::new();
    for (source, name, body) in parsed {
        let is_empty = body.is_empty_tree();
        let body = Preparer { source, changes_maps: finder.changes_maps }.list(body);
        match named.iter_mut().find(|(known, _)| *known == name) {
            Some(_) if is_empty => {}
            Some((_, known)) => *known = body,
            None => named.push((name, body)),
        }
    }
    Ok(named)
}

fn failure(source: usize, file: &SourceFile, error: TemplateError) -> ParseFailure {
    match error {
        TemplateError::Parse { line, col, message, .. }
        | TemplateError::Lex { line, col, message, .. } => {
            let line = if line == 0 { 1 } else { line };
            ParseFailure {
                source,
                line,
                column: col.max(1),
                what: message,
                function: None,
                hint: None,
            }
        }
        other => ParseFailure {
            source,
            line: 1,
            column: 1,
            what: format!("{}: {other}", file.name),
            function: None,
            hint: None,
        },
    }
}

fn unbalanced(source: usize, file: &SourceFile, imbalance: Imbalance) -> ParseFailure {
    let line_of =
        |offset: usize| file.text.get(..offset).unwrap_or_default().matches('\n').count() + 1;
    let hint = imbalance.open.map(|(word, offset)| {
        format!("the {{{{ {word} }}}} of line {} has no {{{{ end }}}}", line_of(offset))
    });
    ParseFailure {
        source,
        line: line_of(imbalance.offset),
        column: column(&file.text, imbalance.offset),
        what: imbalance.what,
        function: None,
        hint,
    }
}

fn column(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or_default();
    before.rsplit('\n').next().unwrap_or_default().chars().count() + 1
}

/// Looks for functions that nobody knows, and for those that change maps.
struct Finder<'a> {
    functions: &'a [&'a str],
    unknown: Option<(String, Pos)>,
    changes_maps: bool,
}

// === impl Finder ===

impl Finder<'_> {
    fn list(&mut self, list: &ListNode) {
        for node in &list.nodes {
            match node {
                Node::List(list) => self.list(list),
                Node::Action(ActionNode { pipe, .. }) => self.pipe(pipe),
                Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
                    self.pipe(&branch.pipe);
                    self.list(&branch.body);
                    branch.else_body.iter().for_each(|body| self.list(body));
                }
                Node::Template(call) => call.pipe.iter().for_each(|pipe| self.pipe(pipe)),
                Node::Text(_) | Node::Define(_) | Node::Break(_) | Node::Continue(_) => {}
            }
        }
    }

    fn pipe(&mut self, pipe: &PipeNode) {
        pipe.commands.iter().flat_map(|command| &command.args).for_each(|expr| self.expr(expr));
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Identifier(pos, name) => {
                self.changes_maps |= CHANGING.contains(&name.as_str());
                if self.unknown.is_none() && !self.functions.contains(&name.as_str()) {
                    self.unknown = Some((name.to_string(), *pos));
                }
            }
            Expr::Pipe(_, pipe) => self.pipe(pipe),
            Expr::Chain(_, inner, _) => self.expr(inner),
            _ => {}
        }
    }
}

/// Puts calls into a tree: one before each node that tells where the rendering is; around values, where maps are
/// changed in place; behind what is written, so that numbers look as in Go.
struct Preparer {
    source: usize,
    changes_maps: bool,
}

// === impl Preparer ===

impl Preparer {
    fn list(&self, list: ListNode) -> ListNode {
        let mut nodes = Vec::with_capacity(list.nodes.len() * 2);
        for node in list.nodes {
            let (pos, is_text) = match &node {
                Node::Text(TextNode { pos, .. }) => (*pos, true),
                Node::Action(ActionNode { pos, .. })
                | Node::If(BranchNode { pos, .. })
                | Node::Range(BranchNode { pos, .. })
                | Node::With(BranchNode { pos, .. })
                | Node::Template(TemplateNode { pos, .. }) => (*pos, false),
                Node::List(_) | Node::Define(_) | Node::Break(_) | Node::Continue(_) => {
                    nodes.push(node);
                    continue;
                }
            };
            let origin = Origin { source: self.source, offset: pos.offset, is_text };
            let number = Expr::Number(pos, Number::Int(origin.packed()));
            let pipe = piped(pos, vec![command(pos, AT, vec![number])]);
            nodes.push(Node::Action(ActionNode { pos, pipe }));
            nodes.push(self.node(node));
        }
        ListNode { pos: list.pos, nodes }
    }

    fn node(&self, node: Node) -> Node {
        match node {
            Node::Action(action) => {
                let is_shown = action.pipe.decl.is_empty();
                let mut pipe = self.pipe(action.pipe);
                if is_shown {
                    pipe.commands.push(command(action.pos, SHOW, Vec::new()));
                }
                Node::Action(ActionNode { pos: action.pos, pipe })
            }
            Node::If(branch) => Node::If(self.branch(branch)),
            Node::Range(branch) => Node::Range(self.branch(branch)),
            Node::With(branch) => Node::With(self.branch(branch)),
            Node::Template(call) => {
                // Without an argument a template gets nothing, not what is at hand.
                let nothing = || piped(call.pos, vec![command(call.pos, NOTHING, Vec::new())]);
                let mut pipe = call.pipe.map_or_else(nothing, |pipe| self.pipe(pipe));
                pipe.commands.push(command(call.pos, BOUNDED, Vec::new()));
                Node::Template(TemplateNode { pipe: Some(pipe), ..call })
            }
            other => other,
        }
    }

    fn branch(&self, branch: BranchNode) -> BranchNode {
        BranchNode {
            pos: branch.pos,
            pipe: self.pipe(branch.pipe),
            body: self.list(branch.body),
            else_body: branch.else_body.map(|body| self.list(body)),
        }
    }

    fn pipe(&self, pipe: PipeNode) -> PipeNode {
        let args = |command: CommandNode| CommandNode {
            pos: command.pos,
            args: command.args.into_iter().map(|expr| self.expr(expr)).collect(),
        };
        let mut commands: Vec<_> = pipe.commands.into_iter().map(args).collect();
        if !pipe.decl.is_empty() {
            commands.push(command(pipe.pos, BOUNDED, Vec::new()));
        }
        PipeNode { commands, ..pipe }
    }

    fn expr(&self, expr: Expr) -> Expr {
        if !self.changes_maps {
            return match expr {
                Expr::Pipe(pos, pipe) => Expr::Pipe(pos, self.pipe(pipe)),
                Expr::Chain(pos, inner, fields) => {
                    Expr::Chain(pos, Box::new(self.expr(*inner)), fields)
                }
                other => other,
            };
        }
        match expr {
            Expr::Dot(pos) => live(pos, Expr::Dot(pos)),
            Expr::Field(pos, fields) => {
                path(pos, live(pos, Expr::Dot(pos)), fields.iter().map(|name| &**name))
            }
            Expr::Variable(pos, name, fields) => {
                let variable = live(pos, Expr::Variable(pos, name, Vec::new()));
                if fields.is_empty() {
                    variable
                } else {
                    path(pos, variable, fields.iter().map(|name| &**name))
                }
            }
            Expr::Pipe(pos, pipe) => live(pos, Expr::Pipe(pos, self.pipe(pipe))),
            // A call with arguments stays a call: only its result is followed by the engine.
            Expr::Chain(pos, inner, fields) if !matches!(*inner, Expr::Identifier(..)) => {
                path(pos, self.expr(*inner), fields.iter().map(|name| &**name))
            }
            other => other,
        }
    }
}

fn command(pos: Pos, name: &'static str, args: Vec<Expr>) -> CommandNode {
    let mut all = vec![Expr::Identifier(pos, name.into())];
    all.extend(args);
    CommandNode { pos, args: all }
}

fn piped(pos: Pos, commands: Vec<CommandNode>) -> PipeNode {
    PipeNode { pos, decl: Vec::new(), commands, is_assign: false }
}

fn live(pos: Pos, expr: Expr) -> Expr {
    Expr::Pipe(pos, piped(pos, vec![command(pos, LIVE, vec![expr])]))
}

fn path<'n>(pos: Pos, base: Expr, names: impl Iterator<Item = &'n str>) -> Expr {
    let mut args = vec![base];
    args.extend(names.map(|name| Expr::String(pos, name.into())));
    Expr::Pipe(pos, piped(pos, vec![command(pos, PATH, args)]))
}
