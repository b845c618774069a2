/** What a new firewall begins with: nothing, a pre-defined rule set, or the rules of another firewall. */
import { SegmentedControl, Select, Stack, Text } from '@mantine/core';
import { useEffect, useEffectEvent, useState } from 'react';
import type { ReactNode } from 'react';
import { useSearchParams } from 'wouter';
import { usePresets, useTemplate, useTemplates } from '../../data/queries.ts';
import type { Preset, Template } from '../../data/types.ts';
import { asProblem } from '../../data/api-problem.ts';
import { draftOf } from './draft.ts';
import type { Action, Draft } from './draft.ts';

type Start = 'scratch' | 'preset' | 'clone';

export interface StartFromProps {
  readonly draft: Draft;
  readonly dispatch: (action: Action) => void;
}

export function StartFrom({ draft, dispatch }: StartFromProps): ReactNode {
  const [search] = useSearchParams();
  const asked = search.get('clone');
  const [start, setStart] = useState<Start>(asked === null ? 'scratch' : 'clone');

  const begin = (from: Preset | Template, suggested: string): void => {
    const { description, inbound, outbound } = draftOf(from);
    // A name that was typed is not overwritten.
    const name = draft.name === '' ? suggested : draft.name;
    dispatch({ kind: 'replace', draft: { ...draft, name, description, inbound, outbound } });
  };
  return (
    <Stack gap="xs">
      <div>
        <Text size="sm" fw={500} mb={4} id="start-label">
          Begin with
        </Text>
        <SegmentedControl
          aria-labelledby="start-label"
          value={start}
          onChange={setStart}
          data={[
            { value: 'scratch', label: 'No rules' },
            { value: 'preset', label: 'Rule set' },
            { value: 'clone', label: 'A copy' },
          ]}
        />
      </div>
      {start === 'preset' && <PresetChoice onChoose={(preset) => begin(preset, preset.name)} />}
      {start === 'clone' && (
        <CloneChoice asked={asked} onChoose={(found) => begin(found, `${found.name}-copy`)} />
      )}
    </Stack>
  );
}

function PresetChoice({ onChoose }: { readonly onChoose: (preset: Preset) => void }): ReactNode {
  const { data, error, isPending } = usePresets();
  const [chosen, setChosen] = useState<string | null>(null);
  const presets = data?.presets ?? [];
  const categories = [...new Set(presets.map(({ category }) => category))];
  const found = presets.find(({ name }) => name === chosen);
  return (
    <Select
      label="Pre-defined rule set"
      placeholder={isPending ? 'Loading' : 'Search: SSH, web server, DNS …'}
      searchable
      value={chosen}
      nothingFoundMessage="No such rule set"
      description={found?.description}
      inputWrapperOrder={['label', 'input', 'description', 'error']}
      error={error === null ? undefined : asProblem(error).message}
      data={categories.map((group) => ({
        group: group.charAt(0).toUpperCase() + group.slice(1),
        items: presets
          .filter(({ category }) => category === group)
          .map(({ name, title }) => ({ value: name, label: title })),
      }))}
      onChange={(name) => {
        setChosen(name);
        const preset = presets.find((each) => each.name === name);
        if (preset !== undefined) onChoose(preset);
      }}
    />
  );
}

interface CloneChoiceProps {
  /** By the link that led here. */
  readonly asked: string | null;
  readonly onChoose: (template: Template) => void;
}

function CloneChoice({ asked, onChoose }: CloneChoiceProps): ReactNode {
  const { data: list } = useTemplates();
  const [chosen, setChosen] = useState(asked);
  return (
    <>
      <Select
        label="Copy the rules of"
        placeholder="Search a firewall"
        searchable
        value={chosen}
        nothingFoundMessage="No such firewall"
        data={(list?.templates ?? []).map(({ name }) => name)}
        onChange={setChosen}
      />
      {chosen !== null && <Copied key={chosen} name={chosen} onChoose={onChoose} />}
    </>
  );
}

interface CopiedProps {
  readonly name: string;
  readonly onChoose: (template: Template) => void;
}

/** Takes the rules over once, when they are there. */
function Copied({ name, onChoose }: CopiedProps): ReactNode {
  const { data, error } = useTemplate(name, false);
  const isThere = data !== undefined;
  const choose = useEffectEvent(() => {
    if (data !== undefined) onChoose(data);
  });
  useEffect(() => {
    if (isThere) choose();
  }, [isThere]);
  return error === null ? null : (
    <Text size="sm" c="var(--mantine-color-error)">
      {asProblem(error).message}
    </Text>
  );
}
