// Package redisstore keeps in Redis what the nodes of one service know together about clients: tickets that are still to
// be redeemed, and what was revoked.
package redisstore
