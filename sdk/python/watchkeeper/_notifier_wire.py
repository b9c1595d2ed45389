"""The border between a notifier and the host: the helpers' types and those that componentize-py makes of the contract.

It can be imported only where the latter are: in a component, while it is built and when it runs.
"""

import wit_world
from wit_world.imports import log, types

from . import _from_bytes
from ._guest import Border, case, settings as _settings, word
from .alerts import Alert, Notification
from .notifier import (
    CommandRequest, CommandResponse, HttpRequest, HttpResponse, MailResponse, Next, Notifier, _next,
)


def _alert(it):
    return Alert(
        it.fingerprint, word(it.status), it.news, it.name, word(it.severity), it.cluster, it.server, it.service, it.code,
        it.summary, it.details, it.source, dict(it.labels), it.starts_at, it.ends_at, it.acknowledged_by,
    )


def _notification(it):
    return Notification(
        it.idempotency_key, it.group_key, dict(it.group_labels), word(it.cause), word(it.status),
        [_alert(alert) for alert in it.alerts], it.more, _from_bytes(bytes(it.memory)), it.queued_at, it.monitor,
    )


def _response(given):
    it = given.value
    if isinstance(given, types.Response_Http):
        # Of several headers of a name the first counts.
        return HttpResponse(it.status, dict(reversed(it.headers)), bytes(it.body))
    if isinstance(given, types.Response_Command):
        return CommandResponse(it.exit, bytes(it.output))
    return MailResponse(it.code, it.text)


def _request(it):
    if isinstance(it, HttpRequest):
        return types.Request_Http(types.HttpRequest(case(types.Method, it.method), it.url, list(it.headers), it.body))
    if isinstance(it, CommandRequest):
        return types.Request_Command(types.CommandRequest(it.name, list(it.arguments), it.input))
    attachments = [types.Attachment(*attachment) for attachment in it.attachments]
    return types.Request_Mail(types.MailRequest(list(it.to), it.subject, it.text, it.html, attachments, it.thread))


def _what(it: Next):
    if it.kind == "send":
        return types.Next_Send(types.Send(_request(it.request), it.kept))
    if it.kind == "delivered":
        return types.Next_Delivered(it.kept)
    if it.kind == "retry":
        return types.Next_Retry(types.Retry(it.after_ms, it.reason))
    return types.Next_Refused(it.reason)


def world(notifier: type[Notifier]):
    """The component's exports."""
    names = list(notifier.settings())
    description = types.Description(
        notifier.name, notifier.version, notifier.summary, _settings(types, notifier.settings())
    )
    answering = Border(log, "notification.queued_at").answering

    def configured(settings):
        return notifier.configured(**{name: it.value for name, it in zip(names, settings, strict=True)})

    class World(wit_world.WitWorld):
        def describe(self):
            return description

        def start(self, notification, settings):
            def body():
                return _what(_next("start", configured(settings).start(_notification(notification))))

            return answering(body)

        def resume(self, state, response, settings):
            def body():
                known = _from_bytes(bytes(state))
                return _what(_next("resume", configured(settings).resume(_response(response), known)))

            return answering(body)

    return World
