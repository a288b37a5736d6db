/** Requests to the gate with nothing in them but what a test says. */
import type { GateRequest, GateRules } from '../../src/domain/gate-request.ts';

const NO_LIMITS = { daily: null, monthly: null, total: null } as const;

/** One conversion a click, and no other rule. */
export function gateRules(rules: Partial<GateRules> = {}): GateRules {
  return {
    oncePerClick: true,
    uniqueOrderId: false,
    uniqueIpWindow: null,
    uniqueTrackId: false,
    caps: NO_LIMITS,
    affiliateCaps: null,
    timezone: 'UTC',
    ...rules,
  };
}

/** Offer 16, goal 12. */
export function gateRequest(request: Partial<GateRequest> = {}): GateRequest {
  return {
    hitId: 't1',
    hitTimeMs: 0,
    offerId: 16,
    goalId: 12,
    affiliateId: 1,
    clickId: 'c1',
    orderId: '',
    trackId: '',
    uniqueIp: '',
    rules: gateRules(),
    mode: 'create',
    targetTransactionId: '',
    targetInBlock: false,
    release: undefined,
    ...request,
  };
}
