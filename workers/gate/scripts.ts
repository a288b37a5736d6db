/** The gate's scripts, typed. Replies are mapped here and nowhere else. */
import { defineGate } from './define-gate.ts';

const asBoolean = (reply: unknown): boolean => reply === 1;
export const rebuildBeginScript = defineGate('rebuild_begin.lua', asBoolean);
export const rebuildClearScript = defineGate('rebuild_clear.lua', asBoolean);
export const rebuildEndScript = defineGate('rebuild_end.lua', asBoolean);
export const turnTakeScript = defineGate('turn_take.lua', asBoolean);
export const turnReleaseScript = defineGate('turn_release.lua', asBoolean);
