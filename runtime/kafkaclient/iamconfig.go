package kafkaclient

import (
	"context"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/config"
)

// mechanismIAM is how KAFKA_SASL_MECHANISM calls the mechanism of Amazon MSK.
const mechanismIAM = "AWS_MSK_IAM"

// IAM is what AWS_MSK_IAM needs, in the words of AWS. Lambda sets Region and the keys; ECS, Fargate and EKS Pod Identity set
// one of the two addresses instead. Profiles, web identities and EC2's metadata are not read.
type IAM struct {
	Region        string        `env:"AWS_REGION" max:"64" doc:"For AWS_MSK_IAM: the cluster's region. Lambda sets it."`
	AccessKeyID   string        `env:"AWS_ACCESS_KEY_ID" max:"128" doc:"For AWS_MSK_IAM, with the next two. Lambda sets them."`
	SecretKey     config.Secret `env:"AWS_SECRET_ACCESS_KEY" doc:"For AWS_MSK_IAM."`
	SessionToken  config.Secret `env:"AWS_SESSION_TOKEN" doc:"For AWS_MSK_IAM, with temporary keys."`
	RelativeURI   string        `env:"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" max:"2048" doc:"For AWS_MSK_IAM without AWS_ACCESS_KEY_ID: path of the keys at 169.254.170.2. ECS sets it."`
	FullURI       string        `env:"AWS_CONTAINER_CREDENTIALS_FULL_URI" max:"2048" doc:"For AWS_MSK_IAM without AWS_ACCESS_KEY_ID: where the keys are; https, this machine, or an address of ECS and EKS. EKS sets it."`
	Authorization config.Secret `env:"AWS_CONTAINER_AUTHORIZATION_TOKEN" doc:"What the keys are asked for with."`
	// AuthorizationFile wins over Authorization. It is read each time: what it holds changes.
	AuthorizationFile string `env:"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" max:"4096" doc:"File with what the keys are asked for with."`
}

// problems returns what keeps AWS_MSK_IAM from being used.
func (c *IAM) problems() []error {
	var problems []error
	if c.Region == "" {
		problems = append(problems, problem("AWS_REGION", "must be set where KAFKA_SASL_MECHANISM is %s", mechanismIAM))
	}
	switch {
	case c.AccessKeyID != "" && c.SecretKey.IsZero():
		problems = append(problems, problem("AWS_SECRET_ACCESS_KEY", "must be set where AWS_ACCESS_KEY_ID is"))
	case c.AccessKeyID == "" && c.RelativeURI == "" && c.FullURI == "":
		problems = append(problems, problem("AWS_ACCESS_KEY_ID", "must be set where KAFKA_SASL_MECHANISM is %s, "+
			"or AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI: profiles and web identities are not read", mechanismIAM))
	case c.AccessKeyID == "" && c.RelativeURI == "" && !isKeyServer(c.FullURI):
		problems = append(problems, problem("AWS_CONTAINER_CREDENTIALS_FULL_URI", "must be an URL with https, of this machine, or of ECS or EKS"))
	}
	return problems
}

// keyServers are the addresses of ECS and EKS that keys are fetched from without TLS.
var keyServers = []string{"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost"}

func isKeyServer(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (slices.Contains(keyServers, u.Hostname()) || ip != nil && ip.IsLoopback())
}

// set has conf authenticate by IAM.
func (c *IAM) set(conf *sarama.Config) {
	sasl := &conf.Net.SASL
	sasl.Mechanism = sarama.SASLTypeOAuth
	sasl.TokenProvider = &iamTokens{region: c.Region, credentials: c.source(), now: time.Now}
}

// source returns where credentials come from.
func (c *IAM) source() func(context.Context) (iamCredentials, error) {
	if c.AccessKeyID == "" {
		return newKeyServer(*c).credentials
	}
	own := iamCredentials{keyID: c.AccessKeyID, secret: c.SecretKey.Reveal(), session: c.SessionToken.Reveal()}
	return func(context.Context) (iamCredentials, error) { return own, nil }
}
