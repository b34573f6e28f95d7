// Evaluates requests against IAM policies as AWS would: questions as JSON on stdin, answers as JSON on stdout.
//
//   {"documents": {NAME: POLICY}, "questions": [{"request": …, "identity": [NAME], "resource": NAME or null}]}
//   [{"allowed": bool, "error": text or null, "ignored": [context keys that AWS does not give for the action]}]
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

// Installed in the working folder, not beside this file.
const { runSimulation } = createRequire(`${process.cwd()}/`)('@cloud-copilot/iam-simulate')

// It does not know keys of an encryption context, nor for which other issuers of tokens STS has the two keys that it has for Google
// (IAM User Guide, "Available keys for AWS OIDC federation"). In policies and requests alike, one that it knows stands for the only
// one in use.
const stand_ins = {
  'kms:EncryptionContext:aws:logs:arn': 'aws:SourceArn',
  'token.actions.githubusercontent.com:aud': 'accounts.google.com:aud',
  'token.actions.githubusercontent.com:sub': 'accounts.google.com:sub',
}
const given = Object.entries(stand_ins).reduce(
  (text, [key, known]) => text.replaceAll(key, known),
  readFileSync(0, 'utf8'),
)
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
