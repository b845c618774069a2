/** What the API takes and answers, by its schemas: types only, nothing of the API gets into the browser. */
import type { Static } from 'typebox';
import type * as history from '../../control/api/history-schemas.ts';
import type * as live from '../../control/api/live-schemas.ts';
import type * as reviews from '../../control/api/review-schemas.ts';
import type * as schemas from '../../control/api/schemas.ts';
import type * as sets from '../../control/api/set-schemas.ts';
import type * as users from '../../control/api/user-schemas.ts';

export type Rule = Static<typeof schemas.rule>;
export type Applied = Static<typeof schemas.applied>;
export type Template = Static<typeof schemas.template>;
export type TemplateList = Static<typeof schemas.templateList>;
export type TemplateSummary = TemplateList['templates'][number];
export type Preset = Static<typeof schemas.preset>;
export type PresetList = Static<typeof schemas.presetList>;
export type Version = Static<typeof history.version>;
export type VersionList = Static<typeof history.versionList>;
export type PolicyChanges = Static<typeof history.policyChanges>;
export type PolicyChange = PolicyChanges['changes'][number];
export type Meaning = Static<typeof schemas.meaning>;
export type Pruned = Static<typeof schemas.pruned>;
export type AddressSet = Static<typeof sets.addressSet>;
export type SetList = Static<typeof sets.setList>;
export type SetSummary = SetList['sets'][number];
export type Mention = AddressSet['usedBy'][number];
export type Server = Static<typeof schemas.server>;
export type ServerList = Static<typeof schemas.serverList>;
export type EffectiveRules = Static<typeof schemas.effectiveRules>;
export type User = Static<typeof users.user>;
export type UserList = Static<typeof users.userList>;
export type NewToken = Static<typeof users.newToken>;
export type AuditPage = Static<typeof users.auditPage>;
export type Session = Static<typeof users.session>;
export type Change = Static<typeof schemas.changeOnly>;
export type Problem = Static<typeof schemas.problem>;
export type Review = Static<typeof reviews.review>;
export type Stats = Static<typeof live.stats>;
export type Fleet = Static<typeof live.fleet>;
export type FleetMember = Fleet['gateways'][number];
export type Status = Static<typeof live.status>;
export type Flow = Static<typeof live.flow>;
export type FlowPage = Static<typeof live.flowPage>;
export type Drop = Static<typeof live.drop>;
export type DropReasonList = Static<typeof live.dropReasonList>;
export type Explanation = Static<typeof live.explanation>;

/** One thing that is wrong, where it is: `inbound[2].ports[0]`. */
export type FieldError = NonNullable<Problem['errors']>[number];
