/**
 * What the gate is asked about a call that passed every stateless check, and what it answers.
 * The seam between judging (`src/domain/judge/`) and the gate (`workers/gate/`).
 */
import type { Caps, UniqueIpWindow } from './catalogue.ts';

/** The gate's rules of one call, copied from the catalogue version the chunk was stamped with. */
export interface GateRules {
  /** 101: the goal allows one conversion a click. */
  readonly oncePerClick: boolean;
  /** 122 */
  readonly uniqueOrderId: boolean;
  /** 102: null: off. */
  readonly uniqueIpWindow: UniqueIpWindow | null;
  /** 103 */
  readonly uniqueTrackId: boolean;
  /** 107: of the goal. */
  readonly caps: Caps;
  /** 107: of this affiliate on the goal; null: none. */
  readonly affiliateCaps: Caps | null;
  /** IANA zone of the offer: buckets are calendar periods in it. */
  readonly timezone: string;
}

/** A conversion with verdict 0, as the log holds it: what it claims follows from this alone. */
export interface AcceptedConversion {
  readonly transactionId: string;
  readonly hitTimeMs: number;
  readonly offerId: number;
  readonly goalId: number;
  readonly affiliateId: number;
  readonly clickId: string;
  readonly orderId: string;
  readonly trackId: string;
  readonly uniqueIp: string;
}

export interface GateRequest {
  readonly hitId: string;
  /** Receipt time: decides every bucket. */
  readonly hitTimeMs: number;
  readonly offerId: number;
  readonly goalId: number;
  readonly affiliateId: number;
  /** '' for a promo conversion: 101 does not apply. */
  readonly clickId: string;
  readonly orderId: string;
  readonly trackId: string;
  /** Address to compare, IPv6 already cut to its /64; '': the check is skipped. */
  readonly uniqueIp: string;
  readonly rules: GateRules;
  /**
   * create: a new transaction. change: of an existing one, else 119. change-or-create: conv-addchange.
   * Changes claim nothing and pass no gate check.
   */
  readonly mode: 'create' | 'change' | 'change-or-create';
  /** For changes named by transaction_id: the transaction, already found. '': the last one of (click, goal). */
  readonly targetTransactionId: string;
  /** The target is another call of the same chunk, not judged yet: it counts only if that call is accepted. */
  readonly targetInBlock: boolean;
  /** A change that frees what its target claimed: the target. Undefined: it frees nothing. */
  readonly release: AcceptedConversion | undefined;
}

/** What a call claims if it is accepted. */
export function claimantOf(request: GateRequest): AcceptedConversion {
  return {
    transactionId: request.hitId,
    hitTimeMs: request.hitTimeMs,
    offerId: request.offerId,
    goalId: request.goalId,
    affiliateId: request.affiliateId,
    clickId: request.clickId,
    orderId: request.orderId,
    trackId: request.trackId,
    uniqueIp: request.uniqueIp,
  };
}

/** One answer a request, in the order asked. */
export type GateReply =
  | { readonly kind: 'accepted' }
  | {
      readonly kind: 'changed';
      readonly transactionId: string;
      /** now: this change frees what the transaction claimed. before: an earlier one did. */
      readonly released: 'no' | 'now' | 'before';
    }
  | { readonly kind: 'transaction-not-found' }
  | {
      readonly kind: 'rejected';
      readonly code: 101 | 102 | 103 | 122;
      /** '' when nothing holds the slot (a missing track id). */
      readonly blockingTransactionId: string;
    }
  | {
      readonly kind: 'cap-reached';
      readonly scope: 'goal' | 'affiliate';
      readonly period: 'daily' | 'monthly' | 'total';
      readonly limit: number;
      /** Counted in the period, more than the limit if that was lowered meanwhile. */
      readonly used: number;
      /** The last conversion that was counted in the period. '' when the limit is 0. */
      readonly blockingTransactionId: string;
    };

/** How many lanes the log of verdicts has. Constant for the life of a database: an offer must never change its lane. */
export const LANE_COUNT = 2;

/** The lane of an offer; calls that match no offer (0) go to lane 0 like any multiple of LANE_COUNT. */
export function laneOf(offerId: number): number {
  return offerId % LANE_COUNT;
}
