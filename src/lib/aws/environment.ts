/** What the process environment says about AWS. The SDK reads most of it by itself, but not in our order. */

/** The variables of a process; `process.env` unless a test brings its own. */
export type AwsEnvironment = Readonly<Record<string, string | undefined>>

/** Where nobody names a region. */
export const fallbackRegion = 'us-east-1'

const isOn = (word: string | undefined): boolean => word !== undefined && word !== '' && word.toLowerCase() !== 'false'

/** The region that variables name: AWS_DEFAULT_REGION, which the guides set, counts as well as the SDK's AWS_REGION. */
export function regionOf({AWS_REGION, AWS_DEFAULT_REGION}: AwsEnvironment): string | undefined {
  return [AWS_REGION, AWS_DEFAULT_REGION].find((region) => region !== undefined && region !== '')
}

/** Services as the variables AWS_ENDPOINT_URL_… name them. */
export type ServiceId = 'STS' | 'IAM' | 'RDS' | 'REDSHIFT' | 'REDSHIFT_SERVERLESS'

/** Where a service's API is, when variables say so; undefined for AWS' own address. */
export function endpointOf(environment: AwsEnvironment, service: ServiceId): string | undefined {
  if (isOn(environment.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS)) return undefined
  const endpoint = environment[`AWS_ENDPOINT_URL_${service}`] ?? environment.AWS_ENDPOINT_URL
  return endpoint === '' ? undefined : endpoint
}

/** Whether the metadata service of EC2 must be left alone. */
export const isMetadataDisabled = ({AWS_EC2_METADATA_DISABLED}: AwsEnvironment): boolean =>
  isOn(AWS_EC2_METADATA_DISABLED)
