/**
 * Why a packet would pass or drop: of the packet that opens a flow, or of the bytes of any packet. The question is in the
 * page's address, so that an answer can be passed on, and a dropped packet can lead here.
 */
import { Grid, Paper, SegmentedControl, Stack } from '@mantine/core';
import { IconZoomQuestion } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { useSearchParams } from 'wouter';
import { asProblem } from '../../data/api-problem.ts';
import { request } from '../../data/client.ts';
import type { Explanation } from '../../data/types.ts';
import { Page } from '../../parts/page.tsx';
import { Empty, Failed, Loading } from '../../parts/states.tsx';
import { FlowForm, HexForm } from './packet-form.tsx';
import { asked, bodyOf, isQuestion } from './question.ts';
import type { Asked } from './question.ts';
import { Verdict } from './verdict.tsx';

export default function ExplainPage(): ReactNode {
  const [search, setSearch] = useSearchParams();
  const question = asked(search);
  const [kind, setKind] = useState(question.hex === undefined ? 'fields' : 'hex');
  const answer = useAnswer(question);
  const problem = answer.isError ? asProblem(answer.error) : undefined;
  const ask = (next: Asked): void => {
    // The same question once more: the rules may be others now.
    if (JSON.stringify(next) === JSON.stringify(question)) void answer.refetch();
    else setSearch({ ...next });
  };
  const form = { asked: question, problem, isBusy: answer.isFetching, onAsk: ask };
  return (
    <Page
      title="Explain"
      about="Ask what the firewall does with a packet, and why. Nothing is sent: the rules in force are asked, and the flows that are live."
    >
      <Grid gap="lg">
        <Grid.Col span={{ base: 12, md: 5 }}>
          <Paper withBorder p="md" radius="md">
            <Stack>
              <SegmentedControl
                fullWidth
                aria-label="How the packet is given"
                data={[
                  { value: 'fields', label: 'By its fields' },
                  { value: 'hex', label: 'As bytes' },
                ]}
                value={kind}
                onChange={setKind}
              />
              {kind === 'fields' ? (
                <FlowForm key={JSON.stringify(question)} {...form} />
              ) : (
                <HexForm key={JSON.stringify(question)} {...form} />
              )}
            </Stack>
          </Paper>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 7 }}>
          <section aria-label="Answer" aria-live="polite">
            {!isQuestion(question) && <HowTo />}
            {answer.isLoading && <Loading rows={4} />}
            {problem !== undefined && problem.kind !== 'invalid' && (
              <Failed error={problem} onRetry={() => void answer.refetch()} />
            )}
            {answer.data !== undefined && <Verdict explanation={answer.data} />}
          </section>
        </Grid.Col>
      </Grid>
    </Page>
  );
}

function useAnswer(question: Asked) {
  return useQuery({
    queryKey: ['explain', question],
    queryFn: ({ signal }) =>
      request<Explanation>('POST', '/v1/explain', { body: bodyOf(question), signal }),
    enabled: isQuestion(question),
    staleTime: 0,
    gcTime: 0,
    refetchOnWindowFocus: false,
  });
}

function HowTo(): ReactNode {
  return (
    <Empty icon={<IconZoomQuestion size={36} aria-hidden />} title="Which packet?">
      Fill in from where to where, and press Explain. You see the rule that allows it, or the rule
      that comes nearest and what of it does not fit.
    </Empty>
  );
}
