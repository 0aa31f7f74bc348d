/** The role that the Aurora guide has its readers create, as they write it. */
export const guideRole = `kind: role
version: v3
metadata:
  name: db
spec:
  allow:
    db_labels:
      '*': '*'
    db_names:
    - '*'
    db_users:
    - '*'
`
