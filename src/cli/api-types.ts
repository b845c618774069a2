/** Types of the API's answers, from its schemas. */
import type { Static } from 'typebox';
import type * as confirms from '../control/api/confirm-schemas.ts';
import type * as history from '../control/api/history-schemas.ts';
import type * as live from '../control/api/live-schemas.ts';
import type { pruned } from '../control/api/prune-schemas.ts';
import type * as questions from '../control/api/question-schemas.ts';
import type * as reviews from '../control/api/review-schemas.ts';
import type * as schemas from '../control/api/schemas.ts';
import type * as sets from '../control/api/set-schemas.ts';
import type { SuggestionView } from '../control/api/suggestion-schemas.ts';
import type * as traffic from '../control/api/traffic-schemas.ts';
import type * as users from '../control/api/user-schemas.ts';

export type RuleView = Static<typeof schemas.rule>;
export type AppliedView = Static<typeof schemas.applied>;
export type TemplateView = Static<typeof schemas.template>;
export type TemplateListView = Static<typeof schemas.templateList>;
export type PresetView = Static<typeof schemas.preset>;
export type PresetListView = Static<typeof schemas.presetList>;
export type VersionListView = Static<typeof history.versionList>;
export type ChangesView = Static<typeof history.policyChanges>;
export type ConfirmedView = Static<typeof confirms.confirmed>;
export type ReviewView = Static<typeof reviews.review>;
export type SetView = Static<typeof sets.addressSet>;
export type SetListView = Static<typeof sets.setList>;
export type ImportedSetsView = Static<typeof sets.importedSets>;
export type ServerView = Static<typeof schemas.server>;
export type ServerListView = Static<typeof schemas.serverList>;
export type EffectiveRulesView = Static<typeof schemas.effectiveRules>;
export type PrunedView = Static<typeof pruned>;
export type AssignedView = Static<typeof schemas.assignedChange>;
export type UserView = Static<typeof users.user>;
export type UserListView = Static<typeof users.userList>;
export type NewTokenView = Static<typeof users.newToken>;
export type AuditPageView = Static<typeof users.auditPage>;
/** With the servers' counts, which the command line always requests. */
export type StatsView = Static<typeof live.stats> & {
  readonly servers: NonNullable<Static<typeof live.stats>['servers']>;
};
export type StatusView = Static<typeof live.status>;
export type FleetView = Static<typeof live.fleet>;
export type FlowView = Static<typeof live.flow>;
export type FlowPageView = Static<typeof live.flowPage>;
export type PlacedRuleView = Static<typeof questions.placedRule>;
export type ReachView = Static<typeof questions.reach>;
export type FoundView = Static<typeof questions.found>;
export type { SuggestionView };
export type DropView = Static<typeof live.drop>;
export type DropGroupsView = traffic.DropGroupsView;
export type DropGroupView = DropGroupsView['groups'][number];
export type DropListView = Static<typeof live.dropList>;

/** Part of the answer to every change, beside the resource. */
export interface Changed {
  readonly applied: AppliedView;
}
