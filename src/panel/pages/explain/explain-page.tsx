/** Why a packet would pass or drop. */
import { Button, Group, Select, Stack, Text, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import type { SubmitEvent, ReactNode } from 'react';
import { request } from '../../data/client.ts';
import type { Explanation } from '../../data/types.ts';
import { Page } from '../../parts/page.tsx';
import { ProblemSummary } from '../../parts/problem-summary.tsx';

export default function ExplainPage(): ReactNode {
  const [src, setSource] = useState('');
  const [dst, setDestination] = useState('');
  const [protocol, setProtocol] = useState('tcp');
  const [port, setPort] = useState('');
  const question = useMutation({
    mutationFn: (body: object) => request<Explanation>('POST', '/v1/explain', { body }),
  });
  const ask = (event: SubmitEvent): void => {
    event.preventDefault();
    question.mutate({ src, dst, protocol, ...(port !== '' && { dstPort: Number(port) }) });
  };
  return (
    <Page title="Explain">
      <form onSubmit={ask}>
        <Stack>
          {question.error !== null && <ProblemSummary error={question.error} />}
          <Group align="end">
            <TextInput label="From" value={src} onChange={(e) => setSource(e.target.value)} />
            <TextInput label="To" value={dst} onChange={(e) => setDestination(e.target.value)} />
            <Select
              label="Protocol"
              data={['tcp', 'udp', 'icmp']}
              value={protocol}
              onChange={(value) => setProtocol(value ?? 'tcp')}
            />
            <TextInput label="Port" value={port} onChange={(e) => setPort(e.target.value)} />
            <Button type="submit">Explain</Button>
          </Group>
        </Stack>
      </form>
      {question.data !== undefined && (
        <Text role="status">
          <b>{question.data.verdict}</b>: {question.data.message}
        </Text>
      )}
    </Page>
  );
}
