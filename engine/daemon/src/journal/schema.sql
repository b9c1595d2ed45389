CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    at_ms   INTEGER NOT NULL,
    cluster TEXT,
    kind    TEXT NOT NULL,
    body    TEXT NOT NULL,
    chain   BLOB NOT NULL
) STRICT;

CREATE VIEW observations AS
SELECT seq, at, cluster,
       json_extract(body, '$.probe.server')  AS server,
       json_extract(body, '$.probe.service') AS service,
       json_extract(body, '$.probe.name')    AS probe,
       json_extract(body, '$.status')        AS status,
       json_extract(body, '$.reason.code')   AS reason,
       json_extract(body, '$.reason.detail') AS detail,
       json_extract(body, '$.took_ms')       AS took_ms
FROM events WHERE kind = 'observed';

CREATE VIEW decisions AS
SELECT seq, at, cluster,
       json_extract(body, '$.snapshot.number')                     AS snapshot,
       json_extract(body, '$.decision.chosen.policy')              AS policy,
       json_extract(body, '$.decision.chosen.proposal.action')     AS action,
       json_extract(body, '$.decision.chosen.proposal.server')     AS server,
       json_extract(body, '$.decision.chosen.proposal.service')    AS service,
       json_extract(body, '$.decision.chosen.proposal.reason')     AS reason,
       json_array_length(body, '$.decision.holds')                 AS held_by,
       json_extract(body, '$.decision.holds')                      AS holds
FROM events WHERE kind = 'evaluated';

CREATE VIEW steps AS
SELECT seq, at, cluster, kind,
       coalesce(json_extract(body, '$.plan'), json_extract(body, '$.number')) AS plan,
       json_extract(body, '$.step')                                           AS step,
       json_extract(body, '$.attempt')                                        AS attempt,
       coalesce(json_extract(body, '$.outcome'), json_extract(body, '$.ending'))
                                                                              AS outcome,
       json_extract(body, '$.detail')                                         AS detail
FROM events WHERE kind IN ('plan-begun', 'step-intended', 'step-ended', 'plan-ended');

CREATE VIEW alerts AS
SELECT seq, at, cluster,
       CASE kind WHEN 'alert-fired' THEN 'firing' ELSE 'resolved' END AS status,
       json_extract(body, '$.fingerprint') AS fingerprint,
       json_extract(body, '$.source')      AS source,
       json_extract(body, '$.name')        AS name,
       json_extract(body, '$.severity')    AS severity,
       json_extract(body, '$.server')      AS server,
       json_extract(body, '$.service')     AS service,
       json_extract(body, '$.code')        AS code,
       json_extract(body, '$.summary')     AS summary
FROM events WHERE kind IN ('alert-fired', 'alert-resolved');

CREATE VIEW notifications AS
SELECT queued.seq, queued.at, queued.cluster,
       json_extract(queued.body, '$.id')            AS id,
       json_extract(queued.body, '$.receiver')      AS receiver,
       json_extract(queued.body, '$.alert.name')    AS alert,
       json_extract(queued.body, '$.alert.summary') AS summary,
       coalesce(substr(latest.kind, 14), 'queued')  AS status,
       latest.at                                    AS latest_at,
       json_extract(latest.body, '$.problem')       AS problem
FROM events AS queued
LEFT JOIN (
    SELECT max(seq), at, kind, body, json_extract(body, '$.id') AS id
    FROM events
    WHERE kind IN ('notification-tried', 'notification-delivered', 'notification-dead')
    GROUP BY json_extract(body, '$.id')
) AS latest ON latest.id = json_extract(queued.body, '$.id')
WHERE queued.kind = 'notification-queued';
