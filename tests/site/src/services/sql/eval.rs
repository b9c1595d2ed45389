//! Evaluates a parsed select statement.

use super::catalogue::{self, Row};
use super::parse::{Expr, Select};
use super::{Failure, Session, Value, failure};
use crate::replication::{CURRENT_LSN, lsn, parse_lsn};

const AGGREGATES: [&str; 6] = ["count", "max", "min", "sum", "bool_and", "bool_or"];

/// The columns' names and the rows.
pub(super) fn select(
    session: &mut Session<'_>,
    select: &Select,
) -> Result<(Vec<String>, Vec<Vec<Value>>), Failure> {
    let (columns, mut rows) = relations(session, select)?;
    if let Some(filter) = &select.filter {
        let mut kept = Vec::new();
        for row in rows {
            if truth(&eval(session, filter, std::slice::from_ref(&row))?) == Some(true) {
                kept.push(row);
            }
        }
        rows = kept;
    }
    let mut names = Vec::new();
    let mut items: Vec<&Expr> = Vec::new();
    let starred: Vec<Expr> = columns.iter().map(|it| Expr::Column((*it).to_owned())).collect();
    for (name, item) in &select.items {
        if matches!(item, Expr::Column(star) if star == "*") {
            names.extend(columns.iter().map(|it| (*it).to_owned()));
            items.extend(&starred);
        } else {
            names.push(name.clone());
            items.push(item);
        }
    }
    let aggregated = items.iter().any(|item| has_aggregate(item));
    let groups: Vec<&[Row]> = if aggregated { vec![&rows] } else { rows.chunks(1).collect() };
    let mut answer = Vec::new();
    for group in groups {
        let row: Result<_, _> = items.iter().map(|item| eval(session, item, group)).collect();
        answer.push(row?);
    }
    answer.truncate(select.limit.unwrap_or(usize::MAX));
    Ok((names, answer))
}

/// The rows of the relations side by side. Of several, each has one row at most, or stands alone.
fn relations(
    session: &mut Session<'_>,
    select: &Select,
) -> Result<(Vec<&'static str>, Vec<Row>), Failure> {
    let mut columns = Vec::new();
    let mut rows = vec![Row::new()];
    for (i, name) in select.relations.iter().enumerate() {
        let Some((more, found)) = catalogue::view(session, name) else {
            return failure("42P01", format!("relation \"{name}\" does not exist"));
        };
        let absent: Row = more.iter().map(|column| (*column, None)).collect();
        let optional = i > 0 && select.left_join;
        let found = if found.is_empty() && optional { vec![absent] } else { found };
        rows = rows
            .iter()
            .flat_map(|left| {
                found.iter().map(move |right| {
                    let mut row = left.clone();
                    row.extend(right.clone());
                    row
                })
            })
            .collect();
        columns.extend(more);
    }
    // An unknown column is an error also where there is no row to miss it in.
    let known = |name: &str| name == "*" || columns.contains(&name);
    let mut missing = select.items.iter().filter_map(|(_, item)| match item {
        Expr::Column(name) if !known(name) && keyword(name).is_none() => Some(name),
        _ => None,
    });
    match missing.next() {
        Some(name) => failure("42703", format!("column \"{name}\" does not exist")),
        None => Ok((columns, rows)),
    }
}

fn has_aggregate(expr: &Expr) -> bool {
    match expr {
        Expr::Call(name, args) => {
            AGGREGATES.contains(&name.as_str()) || args.iter().any(has_aggregate)
        }
        Expr::Op(_, both) => both.iter().any(has_aggregate),
        Expr::Not(inner) | Expr::IsNull(inner) => has_aggregate(inner),
        Expr::In(inner, list) => has_aggregate(inner) || list.iter().any(has_aggregate),
        Expr::Literal(_) | Expr::Column(_) | Expr::Select(_) | Expr::Exists(_) => false,
    }
}

/// Functions that are called without parentheses.
fn keyword(name: &str) -> Option<String> {
    match name {
        "current_timestamp" | "localtimestamp" => Some(catalogue::now()),
        "current_user" | "session_user" | "user" => Some("dmuser".to_owned()),
        "current_catalog" => Some("datamover".to_owned()),
        _ => None,
    }
}

fn truth(value: &Value) -> Option<bool> {
    value.as_deref().map(|text| matches!(text, "t" | "true" | "on"))
}

fn flag(yes: Option<bool>) -> Value {
    yes.map(|yes| if yes { "t" } else { "f" }.to_owned())
}

/// Evaluates for a group of rows; what is not an aggregate looks at the first.
fn eval(session: &mut Session<'_>, expr: &Expr, rows: &[Row]) -> Result<Value, Failure> {
    match expr {
        Expr::Literal(value) => Ok(value.clone()),
        Expr::Column(name) => match rows.first().and_then(|row| row.get(name.as_str())) {
            Some(value) => Ok(value.clone()),
            None => match keyword(name) {
                Some(value) => Ok(Some(value)),
                None => failure("42703", format!("column \"{name}\" does not exist")),
            },
        },
        Expr::Not(inner) => Ok(flag(truth(&eval(session, inner, rows)?).map(|yes| !yes))),
        Expr::IsNull(inner) => Ok(flag(Some(eval(session, inner, rows)?.is_none()))),
        Expr::In(inner, list) => {
            let wanted = eval(session, inner, rows)?;
            let mut found = false;
            for item in list {
                found |= eval(session, item, rows)? == wanted;
            }
            Ok(flag(wanted.is_some().then_some(found)))
        }
        Expr::Op(operator, both) => {
            let [left, right] = &**both;
            operate(operator, &eval(session, left, rows)?, &eval(session, right, rows)?)
        }
        Expr::Exists(nested) => Ok(flag(Some(!select(session, nested)?.1.is_empty()))),
        Expr::Select(nested) => {
            let (_, rows) = select(session, nested)?;
            Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
        }
        Expr::Call(name, args) if AGGREGATES.contains(&name.as_str()) => {
            aggregate(session, name, args, rows)
        }
        Expr::Call(name, args) => {
            let values: Result<Vec<_>, _> =
                args.iter().map(|arg| eval(session, arg, rows)).collect();
            call(session, name, &values?)
        }
    }
}

/// A number as PostgreSQL prints it: whole numbers without a point.
fn number(value: f64) -> Value {
    Some(format!("{value}"))
}

fn operate(operator: &str, left: &Value, right: &Value) -> Result<Value, Failure> {
    match operator {
        "and" => {
            return Ok(flag(match (truth(left), truth(right)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            }));
        }
        "or" => {
            return Ok(flag(match (truth(left), truth(right)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            }));
        }
        _ => {}
    }
    let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
    if operator == "||" {
        return Ok(Some(format!("{left}{right}")));
    }
    let figures = match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => Some((left, right)),
        _ => None,
    };
    let order = match figures {
        Some((left, right)) => left.partial_cmp(&right),
        None => match (parse_lsn(left), parse_lsn(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => Some(left.cmp(right)),
        },
    };
    Ok(match (operator, figures) {
        ("=", _) => flag(order.map(std::cmp::Ordering::is_eq)),
        ("<>" | "!=", _) => flag(order.map(std::cmp::Ordering::is_ne)),
        ("<", _) => flag(order.map(std::cmp::Ordering::is_lt)),
        (">", _) => flag(order.map(std::cmp::Ordering::is_gt)),
        ("<=", _) => flag(order.map(std::cmp::Ordering::is_le)),
        (">=", _) => flag(order.map(std::cmp::Ordering::is_ge)),
        ("+", Some((left, right))) => number(left + right),
        ("-", Some((left, right))) => number(left - right),
        ("-", None) => return difference(left, right),
        _ => return failure("42883", format!("the stand-in cannot do {left} {operator} {right}")),
    })
}

fn difference(left: &str, right: &str) -> Result<Value, Failure> {
    match (parse_lsn(left), parse_lsn(right)) {
        (Some(left), Some(right)) => Ok(Some((i128::from(left) - i128::from(right)).to_string())),
        _ => failure("22P02", format!("{left:?} and {right:?} are not both WAL positions")),
    }
}

fn aggregate(
    session: &mut Session<'_>,
    name: &str,
    args: &[Expr],
    rows: &[Row],
) -> Result<Value, Failure> {
    let [arg] = args else { return failure("42883", format!("{name} takes one argument")) };
    let star = matches!(arg, Expr::Column(column) if column == "*");
    let mut values = Vec::new();
    for row in rows {
        if star {
            values.push(String::new());
        } else {
            values.extend(eval(session, arg, std::slice::from_ref(row))?);
        }
    }
    if name == "count" {
        return Ok(Some(values.len().to_string()));
    }
    if values.is_empty() {
        return Ok(None);
    }
    let is_true = |value: &String| value == "t";
    let figures = || values.iter().filter_map(|value| value.parse::<f64>().ok());
    Ok(match name {
        "bool_and" => flag(Some(values.iter().all(is_true))),
        "bool_or" => flag(Some(values.iter().any(is_true))),
        "sum" => number(figures().sum()),
        _ if figures().count() < values.len() => {
            let most = if name == "max" { values.iter().max() } else { values.iter().min() };
            most.cloned()
        }
        "max" => number(figures().fold(f64::NEG_INFINITY, f64::max)),
        _ => number(figures().fold(f64::INFINITY, f64::min)),
    })
}

fn call(session: &mut Session<'_>, name: &str, args: &[Value]) -> Result<Value, Failure> {
    let owned = |text: &str| Ok(Some(text.to_owned()));
    match (name, args) {
        ("pg_is_in_recovery", []) => owned("f"),
        ("pg_current_wal_lsn" | "pg_current_wal_flush_lsn" | "pg_current_wal_insert_lsn", []) => {
            Ok(Some(lsn(CURRENT_LSN)))
        }
        ("now" | "clock_timestamp" | "statement_timestamp", []) => Ok(Some(catalogue::now())),
        ("version", []) => owned("PostgreSQL 15.8 (stand-in)"),
        ("current_database", []) => owned("datamover"),
        ("pg_backend_pid", []) => owned("4200"),
        ("current_setting", [Some(name), ..]) => match catalogue::setting(name) {
            Some(value) => owned(value),
            None => failure("42704", format!("unrecognized configuration parameter \"{name}\"")),
        },
        ("pg_wal_lsn_diff", [left, right]) => match (left, right) {
            (Some(left), Some(right)) => difference(left, right),
            _ => Ok(None),
        },
        ("coalesce", args) => Ok(args.iter().flatten().next().cloned()),
        ("greatest", args) => {
            let figures = args.iter().flatten().filter_map(|value| value.parse::<f64>().ok());
            Ok(figures.reduce(f64::max).and_then(number))
        }
        ("quote_ident", [value]) => Ok(value.clone()),
        ("format", [Some(pattern), args @ ..]) => {
            let mut text = pattern.clone();
            for arg in args {
                let next = ["%I", "%s", "%L"].iter().filter_map(|mark| text.find(mark)).min();
                let Some(at) = next else { break };
                text.replace_range(at..at + 2, arg.as_deref().unwrap_or(""));
            }
            Ok(Some(text))
        }
        ("setval", [Some(sequence), Some(value), ..]) => {
            let Ok(number) = value.parse::<i64>() else {
                return failure("22P02", format!("{value:?} is not a whole number"));
            };
            *find(session, sequence)? = Some(number);
            Ok(Some(value.clone()))
        }
        ("setval", _) => Ok(None),
        ("nextval", [Some(sequence)]) => {
            let last = find(session, sequence)?;
            let next = last.unwrap_or(0) + 1;
            *last = Some(next);
            Ok(Some(next.to_string()))
        }
        _ => failure("42883", format!("function {name} does not exist for the stand-in")),
    }
}

/// A sequence by its name, which may be quoted and have a schema.
fn find<'a>(session: &'a mut Session<'_>, name: &str) -> Result<&'a mut Option<i64>, Failure> {
    let bare = name.rsplit('.').next().unwrap_or(name).trim_matches('"');
    let of_server = session.replication.sequences.get_mut(&session.server);
    match of_server.and_then(|sequences| sequences.get_mut(bare)) {
        Some(sequence) => Ok(sequence),
        None => failure("42P01", format!("relation \"{name}\" does not exist")),
    }
}
