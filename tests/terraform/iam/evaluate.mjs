// Evaluates requests against IAM policies as AWS would: questions as JSON on stdin, answers as JSON on stdout.
//
//   {"documents": {NAME: POLICY}, "questions": [{"request": …, "identity": [NAME], "resource": NAME or null}]}
//   [{"allowed": bool, "error": text or null, "ignored": [context keys that AWS does not give for the action]}]
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

// Installed in the working folder, not beside this file.
const { runSimulation } = createRequire(`${process.cwd()}/`)('@cloud-copilot/iam-simulate')

// It does not know keys of an encryption context. In policies and requests alike, one that it knows stands for the only one in use.
const given = readFileSync(0, 'utf8').replaceAll('kms:EncryptionContext:aws:logs:arn', 'aws:SourceArn')
const { documents, questions } = JSON.parse(given)

async function answer({ request, identity, resource }) {
  const result = await runSimulation(
    {
      request,
      identityPolicies: identity.map((name) => ({ name, policy: documents[name] })),
      resourcePolicy: resource === null ? undefined : documents[resource],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  )
  if (result.resultType === 'error') {
    return { allowed: false, error: JSON.stringify(result.errors), ignored: [] }
  }
  const parts = result.resultType === 'single' ? [result.result] : result.results
  return {
    allowed: result.overallResult === 'Allowed',
    error: null,
    ignored: parts.flatMap((part) => part.ignoredContextKeys ?? []),
  }
}

const answers = []
for (const question of questions) {
  // An action that AWS does not know, for one.
  answers.push(await answer(question).catch((error) => ({ allowed: false, error: `${error}`, ignored: [] })))
}
process.stdout.write(JSON.stringify(answers))
