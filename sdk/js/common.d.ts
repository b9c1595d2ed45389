// The types of what the helpers share, for editors and `tsc --checkJs`.

/** A number of milliseconds, or a text such as "250ms", "30s", "5m" or "1h30m". */
export type Duration = number | string;

/** A setting, whose value is a T. */
export interface Setting<T> {
  readonly doc: string;
  readonly kind: object & { readonly of?: T };
}

export const setting: {
  flag(doc: string, initial: boolean): Setting<boolean>;
  integer(doc: string, options: { default: number; min?: number; max?: number }): Setting<number>;
  duration(doc: string, options: { default: Duration; min?: Duration; max?: Duration }): Setting<number>;
  text(doc: string, initial?: string): Setting<string>;
  choice<T extends string>(doc: string, options: T[]): Setting<T>;
  texts(doc: string, initial?: string[]): Setting<string[]>;
};

/** The settings of a definition, as the guest reads them. */
export type Values<S> = { [K in keyof S]: S[K] extends Setting<infer T> ? T : never };

export function duration(given: Duration): number;

/** Says, for people, why a guest cannot answer. */
export class CannotAnswer extends Error {}
