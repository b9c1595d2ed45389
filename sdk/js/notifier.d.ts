// The helpers' types, for editors and `tsc --checkJs`.

import type { Duration, Setting, Values } from './common.js';

export { CannotAnswer, duration, setting } from './common.js';
export type { Duration, Setting } from './common.js';

export type Severity = 'info' | 'warning' | 'critical';
export type Cause = 'first' | 'news' | 'repeat' | 'over' | 'escalated';
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** An alert. Times are milliseconds since 1970-01-01T00:00:00Z; what there is none of is empty. */
export class Alert {
  fingerprint: string;
  status: 'firing' | 'resolved';
  news: boolean;
  name: string;
  severity: Severity;
  cluster: string;
  server: string;
  service: string;
  code: string;
  summary: string;
  details: string;
  source: string;
  labels: Record<string, string>;
  startsAt: number;
  endsAt: number | null;
  acknowledgedBy: string;
  isFiring(): boolean;
  place(): string;
  span(): string;
  facts(): [string, string][];
  text(): string;
}

/** What is to be told: a group of alerts, or one alert by itself. */
export class Notification {
  idempotencyKey: string;
  groupKey: string;
  groupLabels: Record<string, string>;
  cause: Cause;
  status: 'firing' | 'resolved';
  alerts: Alert[];
  more: number;
  /** What was given as delivered with the notification before of this group; null before. */
  memory: any;
  queuedAt: number;
  monitor: string;
  isFiring(): boolean;
  firing(): Alert[];
  over(): Alert[];
  count(): number;
  foremost(): Alert;
  severity(): Severity;
  isAcknowledged(): boolean;
  headline(): string;
  occasion(): string;
  text(): string;
}

/** An answer. What it has depends on its kind. */
export class Response {
  kind: 'http' | 'command' | 'mail';
  status: number;
  headers: Record<string, string>;
  body: Uint8Array;
  exit: number | null;
  output: Uint8Array;
  code: number;
  text: string;
  said(): string;
  json(): any;
  header(name: string): string | undefined;
  isTaken(): boolean;
  retryAfter(): number | null;
}

/** What is next: made by http, command, mail, delivered, retry or refused. */
export interface Next {
  readonly tag: 'send' | 'delivered' | 'retry' | 'refused';
}

export function http(
  method: Method,
  url: string,
  given?: { headers?: Record<string, string | undefined>; json?: unknown; body?: string | Uint8Array; state?: unknown },
): Next;
export function command(name: string, given?: { arguments?: string[]; input?: string | Uint8Array; state?: unknown }): Next;
export function mail(given: {
  to: string | string[];
  subject: string;
  text: string;
  html?: string;
  attachments?: { name: string; contentType: string; content: string | Uint8Array }[];
  thread?: string;
  state?: unknown;
}): Next;
export function delivered(memory?: unknown): Next;
export function retry(reason: string, given?: { after?: Duration | null }): Next;
export function refused(reason: string): Next;
export function judge(response: Response): Next;

export function withSecrets(text: string): object;
export function json(value: unknown): string;
export function cut(text: string, most: number): string;
export function flat(text: string): string;
export function human(ms: number): string;
export function rfc3339(ms: number): string;

export interface Definition<S extends Record<string, Setting<unknown>>> {
  name: string;
  version: string;
  summary: string;
  settings?: S;
  start(given: { notification: Notification; settings: Values<S> }): Next;
  /** Without it an answer is judged by its status. */
  resume?(given: {
    response: Response;
    /** What went with the request; null if nothing did. */
    state: any;
    settings: Values<S>;
  }): Next;
}

export function defineNotifier<S extends Record<string, Setting<unknown>>>(definition: Definition<S>): {
  describe(): object;
  start(notification: object, values: object[]): object;
  resume(state: Uint8Array | number[], response: object, values: object[]): object;
};
