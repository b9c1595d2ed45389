// The helpers' types, for editors and `tsc --checkJs`.

import type { Duration, Setting, Values } from './common.js';

export { CannotAnswer, duration, setting } from './common.js';
export type { Duration, Setting } from './common.js';

export type ServiceName = 'repository' | 'activemq' | 'dsa' | 'daemon' | 'agent' | 'rest' | 'sync';
export type Place = 'active' | 'standby' | 'additional';
export type Status = 'up' | 'down' | 'unknown';
export type Side = 'primary' | 'secondary';
export type Ending = 'under-way' | 'succeeded' | 'failed';
export type Grant = 'rescue' | 'stop-service' | 'failover' | 'hold' | 'alert';
export type Severity = 'info' | 'warning' | 'critical';

/** What the probes of a thing together say. Times are milliseconds since 1970-01-01T00:00:00Z. */
export interface State {
  status: Status;
  code: string;
  detail: string;
  since: number;
  confirmations: number;
  seen: number;
  isUp(): boolean;
  downFor(times: number): boolean;
  upFor(times: number): boolean;
  unknownFor(times: number): boolean;
}

export interface Cluster {
  name: string;
  phase: 'active' | 'rescuing' | 'clearing' | 'failing-over' | 'switching-over' | 'switching-back' | 'needs-operator';
  active: Side;
  activeSince: number;
  maintenance: boolean;
}

export interface Server {
  name: string;
  role: 'primary' | 'secondary' | 'additional';
  place: Place;
  state: State;
}

export interface Service {
  server: string;
  service: ServiceName;
  place: Place;
  expected: boolean;
  maintenance: boolean;
  state: State;
}

export interface Measure {
  server: string;
  service: ServiceName | null;
  name: string;
  value: boolean | number | string;
  at: number;
}

export interface Filter {
  place?: Place;
  service?: ServiceName;
  status?: Status | Status[];
  expected?: boolean;
}

export class Snapshot {
  constructor(facts: object);
  number(): number;
  time(): number;
  cluster(): Cluster;
  servers(): Server[];
  server(name: string): Server | null;
  serverAt(place: Place): Server | null;
  service(server: string, service: ServiceName): Service | null;
  services(wanted?: Filter): Service[];
  count(wanted?: Filter): { up: number; down: number; unknown: number };
  measure(server: string, service: ServiceName | null, name: string): Measure | null;
  measures(name: string): Measure[];
  rescues(): { server: string; service: ServiceName; begun: number; ending: Ending }[];
  changes(): { from: Side; to: Side; planned: boolean; begun: number; ending: Ending }[];
}

export interface Alert {
  summary: string;
  on?: Service;
  server?: string;
  code?: string;
  labels?: Record<string, string | number | boolean>;
}

export class Answer {
  constructor(needs?: Grant[]);
  failover(reason: string): this;
  rescue(service: { server: string; service: ServiceName }, reason: string): this;
  stop(service: { server: string; service: ServiceName }, reason: string): this;
  hold(reason: string): this;
  info(name: string, alert: Alert): this;
  warning(name: string, alert: Alert): this;
  critical(name: string, alert: Alert): this;
  alert(severity: Severity, name: string, alert: Alert): this;
  note(text: string): this;
  lookAgain(after: Duration): this;
  remember(value: unknown): this;
  finish(): object;
}

export interface Definition<S extends Record<string, Setting<unknown>>> {
  name: string;
  version: string;
  summary: string;
  needs?: Grant[];
  settings?: S;
  evaluate(given: {
    snapshot: Snapshot;
    settings: Values<S>;
    /** What was last remembered; null before. */
    state: any;
    answer: Answer;
  }): void;
  /** Takes over the state of another version. Nothing returned keeps it as it is. */
  migrate?(fromVersion: string, state: any): unknown;
}

export function definePolicy<S extends Record<string, Setting<unknown>>>(definition: Definition<S>): {
  describe(): object;
  evaluate(facts: object, values: object[], state: Uint8Array | number[]): object;
  migrate(from: string, state: Uint8Array | number[]): Uint8Array | number[];
};
